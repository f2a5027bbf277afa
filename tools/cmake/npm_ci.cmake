# The page's packages, exactly those of the lock file: cmake -DWEB=web -DNPM=npm -DSTAMP=file -P npm_ci.cmake
# Build directories share web/node_modules. It is filled once for a lock file, by one of them at a time, and
# without install scripts (none is needed).
file(LOCK ${WEB}/.npm.lock TIMEOUT 600)
file(SHA256 ${WEB}/package-lock.json wanted)
set(done "")
if(EXISTS ${WEB}/node_modules/.moecap)
  file(READ ${WEB}/node_modules/.moecap done)
endif()
if(NOT done STREQUAL wanted)
  execute_process(COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error
    WORKING_DIRECTORY ${WEB} RESULT_VARIABLE status)
  if(status)
    message(FATAL_ERROR "npm ci could not install the page's packages (${status}); "
      "-DMOECAP_PAGE=OFF builds the gateway without the page")
  endif()
  file(WRITE ${WEB}/node_modules/.moecap ${wanted})
endif()
file(TOUCH ${STAMP})
