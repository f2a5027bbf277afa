# Generated code: messages by protoc-gen-c, stubs and tables by our own protoc-gen-moecap.
# Includes of it are SYSTEM, so that our warnings judge our code only.

# moecap_proto_library(cap_proto ROOT dir PROTOS a.proto … [IMPORTS dir …])
function(moecap_proto_library name)
  cmake_parse_arguments(ARG "" "ROOT" "PROTOS;IMPORTS" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/gen)
  set(includes -I${ARG_ROOT})
  foreach(dir IN LISTS ARG_IMPORTS)
    list(APPEND includes -I${dir})
  endforeach()
  file(MAKE_DIRECTORY ${out})
  foreach(proto IN LISTS ARG_PROTOS)
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    set(made ${out}/${stem}.pb-c.c ${out}/${stem}.pb-c.h ${out}/${stem}.rpc.c ${out}/${stem}.rpc.h)
    find_file(MOECAP_PROTO_PATH_${stem} ${proto} PATHS ${ARG_ROOT} ${ARG_IMPORTS} NO_DEFAULT_PATH)
    add_custom_command(OUTPUT ${made}
      COMMAND ${PROTOC} ${includes} --c_out=${out}
        --plugin=protoc-gen-moecap=$<TARGET_FILE:protoc-gen-moecap> --moecap_out=${out} ${proto}
      DEPENDS ${MOECAP_PROTO_PATH_${stem}} protoc-gen-moecap VERBATIM)
    list(APPEND sources ${out}/${stem}.pb-c.c ${out}/${stem}.rpc.c)
    list(APPEND all_made ${made})
  endforeach()
  add_custom_target(${name}_files DEPENDS ${all_made})
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} SYSTEM PUBLIC ${out})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/lib)
  target_link_libraries(${name} PUBLIC PkgConfig::PROTOBUF_C)
endfunction()
