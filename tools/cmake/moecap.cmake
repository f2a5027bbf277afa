# The build's own verbs. Every directory says what it makes in one call.

set(MOECAP_WARNINGS -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wformat=2 -Wundef
    -Wno-missing-field-initializers -Wno-missing-braces)
if(MOECAP_WERROR)
  list(APPEND MOECAP_WARNINGS -Werror)
endif()

function(moecap_target_defaults target)
  target_compile_options(${target} PRIVATE ${MOECAP_WARNINGS})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/lib)
endfunction()

# moecap_library(cap_base SOURCES a.c b.c [LINK cap_x PkgConfig::Y] [PRIVATE_LINK PkgConfig::Z])
# A static library. LINK is seen by users; PRIVATE_LINK hides a third-party API.
function(moecap_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  moecap_target_defaults(${name})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE ${ARG_PRIVATE_LINK})
endfunction()

# moecap_program(moecap-store SOURCES main.c LINK cap_service store_core)
function(moecap_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  moecap_target_defaults(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# moecap_test(unit.queue SOURCES test_queue.c LINK cap_x [TIMEOUT 60] [SERIAL])
# A cmocka program and a ctest entry; the label is the name's first part. Tests may include any
# header of the tree and find the repository in MOECAP_SOURCE_DIR, programs in MOECAP_BIN_DIR.
function(moecap_test name)
  cmake_parse_arguments(ARG "SERIAL" "TIMEOUT" "SOURCES;LINK" ${ARGN})
  if(NOT MOECAP_TESTS)
    return()
  endif()
  string(REGEX REPLACE "\\..*" "" label ${name})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${MOECAP_WARNINGS} -Wno-missing-prototypes)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/lib ${CMAKE_SOURCE_DIR}
    ${CMAKE_SOURCE_DIR}/services ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${ARG_LINK} PkgConfig::CMOCKA)
  add_test(NAME ${name} COMMAND ${name})
  moecap_test_properties(${name} ${label} "${ARG_TIMEOUT}" ${ARG_SERIAL})
endfunction()

# moecap_script_test(e2e.demo COMMAND tests/e2e/demo.sh [TIMEOUT 300] [SERIAL])
function(moecap_script_test name)
  cmake_parse_arguments(ARG "SERIAL" "TIMEOUT" "COMMAND" ${ARGN})
  if(NOT MOECAP_TESTS)
    return()
  endif()
  string(REGEX REPLACE "\\..*" "" label ${name})
  add_test(NAME ${name} COMMAND ${ARG_COMMAND} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  moecap_test_properties(${name} ${label} "${ARG_TIMEOUT}" ${ARG_SERIAL})
endfunction()

function(moecap_test_properties name label timeout serial)
  if(NOT timeout)
    set(timeout 60)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout} RUN_SERIAL ${serial}
    SKIP_RETURN_CODE 77
    ENVIRONMENT "MOECAP_SOURCE_DIR=${CMAKE_SOURCE_DIR};MOECAP_BIN_DIR=${CMAKE_BINARY_DIR}/bin;\
LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0;\
TSAN_OPTIONS=ignore_noninstrumented_modules=1 suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp")
endfunction()
