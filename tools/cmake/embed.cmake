# Files into a program: cmake -DOUT=page.c -DFILES="a;b" -DPATHS="/;/b.js" -DTYPES="text/html;..." -P embed.cmake
# writes gate_page_files, see services/gateway/page.h.
set(text "/* Made from the page's files by tools/cmake/embed.cmake; do not edit. */\n#include \"page.h\"\n\n")
set(rows "")
list(LENGTH FILES count)
math(EXPR last "${count} - 1")
foreach(i RANGE ${last})
  list(GET FILES ${i} file)
  list(GET PATHS ${i} path)
  list(GET TYPES ${i} type)
  string(REPLACE ": " "; " type "${type}") # a semicolon would end the list item
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND text "static const unsigned char file_${i}[] = {${bytes}};\n")
  string(APPEND rows "    {\"${path}\", \"${type}\", file_${i}, sizeof file_${i}},\n")
endforeach()
string(APPEND text "\nconst struct gate_page_file gate_page_files[] = {\n${rows}};\n"
  "const size_t gate_page_file_count = sizeof gate_page_files / sizeof *gate_page_files;\n")
file(WRITE ${OUT} "${text}")
