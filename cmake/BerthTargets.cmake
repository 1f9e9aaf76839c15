# SPDX-License-Identifier: Apache-2.0
# One static library per folder: what a folder may include is what it links, so the layering is checked by every build.
#
#   berth_library(plan SOURCES allocate.cc place.cc DEPS berth::model)       -> target berth_plan, alias berth::plan
#   berth_test(plan_test TIER unit SOURCES allocate_test.cc DEPS berth::plan) -> executable, its cases registered with CTest
#   berth_test(push_test TIER unit GRPC ...)  -> the same, but kept out of ThreadSanitizer runs: it links gRPC, whose own
#                                                objects are not instrumented
#   berth_test(obs_test TIER unit THREADS ...) -> its code runs in several threads: under ThreadSanitizer with every run of
#                                                tools/test, the others only with tools/test --tsan

# Sets OUT to what to compile instead of `sources` and `alone`: files that include up to four `sources` each. That takes half
# as long and less, since most of the time goes into headers and what all files instantiate alike. `alone` are objects, and
# sources with names of their own that others have, too. What is shipped is compiled file by file, so that each is known to
# include what it uses. CMake's own unity builds name sources by absolute paths, and __FILE__ puts those into the object: the
# compiler cache would not know it again in another clone.
function(berth_batches OUT target sources alone)
  list(LENGTH sources count)
  if(NOT BERTH_UNITY OR count LESS 2)
    set(${OUT} ${sources} ${alone} PARENT_SCOPE)
    return()
  endif()
  set(files ${alone})
  math(EXPR batches "(${count} + 3) / 4")
  foreach(batch RANGE 1 ${batches})
    set(file ${CMAKE_CURRENT_BINARY_DIR}/${target}.batches/${batch}.cc)
    math(EXPR begin "(${batch} - 1) * 4")
    list(SUBLIST sources ${begin} 4 members)
    set(text)
    foreach(source IN LISTS members)
      cmake_path(ABSOLUTE_PATH source NORMALIZE OUTPUT_VARIABLE path)
      cmake_path(RELATIVE_PATH path BASE_DIRECTORY ${CMAKE_SOURCE_DIR})
      string(APPEND text "#include \"${path}\"\n")
    endforeach()
    file(CONFIGURE OUTPUT ${file} CONTENT "${text}" @ONLY)
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
      # A class of an included file must have no member of a type of that file's own; these files are included once.
      set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS -Wno-subobject-linkage)
    endif()
    list(APPEND files ${file})
  endforeach()
  set(${OUT} ${files} PARENT_SCOPE)
endfunction()

function(berth_library NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;ALONE;DEPS;PRIVATE_DEPS" ${ARGN})
  # Under AddressSanitizer -O1 makes tests faster by a third, and files that include gRPC or JSON twice as slow to compile.
  set(own_deps ${ARG_DEPS} ${ARG_PRIVATE_DEPS})
  berth_packages(ARG_DEPS ${ARG_DEPS})
  berth_packages(ARG_PRIVATE_DEPS ${ARG_PRIVATE_DEPS})
  if(ARG_SOURCES)
    set(sources ${ARG_SOURCES} ${ARG_ALONE})
    if(BERTH_SANITIZE)
      berth_batches(sources berth_${NAME} "${ARG_SOURCES}" "${ARG_ALONE}")
    endif()
    add_library(berth_${NAME} STATIC ${sources})
    if(BERTH_SANITIZE MATCHES address AND NOT "${own_deps}" MATCHES "(gRPC|nlohmann_json)::|(agent|admin)_proto(;|$)")
      target_compile_options(berth_${NAME} PRIVATE -O1)
    endif()
    target_include_directories(berth_${NAME} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(berth_${NAME} PUBLIC ${ARG_DEPS} PRIVATE berth::warnings ${ARG_PRIVATE_DEPS})
  else()
    add_library(berth_${NAME} INTERFACE)
    target_include_directories(berth_${NAME} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(berth_${NAME} INTERFACE ${ARG_DEPS})
  endif()
  add_library(berth::${NAME} ALIAS berth_${NAME})
endfunction()

# A generated protobuf + gRPC library, and its messages alone: berth::NAME_messages, for what does not speak gRPC itself.
# Generated code is compiled without our warnings.
function(berth_proto_library NAME)
  cmake_parse_arguments(ARG "" "" "PROTOS;DEPS" ${ARGN})
  berth_packages(messages_deps protobuf::libprotobuf ${ARG_DEPS})
  berth_packages(grpc_deps gRPC::grpc++)
  add_library(berth_${NAME}_messages STATIC ${ARG_PROTOS})
  target_link_libraries(berth_${NAME}_messages PUBLIC ${messages_deps})
  target_include_directories(berth_${NAME}_messages SYSTEM PUBLIC ${CMAKE_BINARY_DIR}/proto)
  protobuf_generate(TARGET berth_${NAME}_messages LANGUAGE cpp
    IMPORT_DIRS ${CMAKE_SOURCE_DIR}/proto PROTOC_OUT_DIR ${CMAKE_BINARY_DIR}/proto)
  add_library(berth_${NAME} STATIC ${ARG_PROTOS})
  target_link_libraries(berth_${NAME} PUBLIC berth_${NAME}_messages ${grpc_deps})
  protobuf_generate(TARGET berth_${NAME} LANGUAGE grpc GENERATE_EXTENSIONS .grpc.pb.h .grpc.pb.cc
    PLUGIN "protoc-gen-grpc=\$<TARGET_FILE:gRPC::grpc_cpp_plugin>"
    IMPORT_DIRS ${CMAKE_SOURCE_DIR}/proto PROTOC_OUT_DIR ${CMAKE_BINARY_DIR}/proto)
  add_library(berth::${NAME}_messages ALIAS berth_${NAME}_messages)
  add_library(berth::${NAME} ALIAS berth_${NAME})
endfunction()

function(berth_test NAME)
  cmake_parse_arguments(ARG "GRPC;THREADS" "TIER;TIMEOUT" "SOURCES;ALONE;DEPS;PROPERTIES" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 180)  # seconds; the slowest take 10, and 40 under AddressSanitizer, which gets what others leave
    if(BERTH_SANITIZE)
      set(ARG_TIMEOUT 600)
    endif()
  endif()
  berth_batches(sources ${NAME} "${ARG_SOURCES}" "${ARG_ALONE}")
  add_executable(${NAME} ${sources})
  target_include_directories(${NAME} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${NAME} PRIVATE berth_catch_main berth::warnings ${ARG_DEPS})
  target_compile_options(${NAME} PRIVATE ${BERTH_TEST_OPTIONS})
  if(BERTH_TEST_PCH)
    target_precompile_headers(${NAME} REUSE_FROM berth_test_pch)
  endif()
  set(label ${ARG_TIER})
  if(NOT ARG_GRPC AND NOT ARG_TIER STREQUAL net)
    add_dependencies(berth_tsan_tests ${NAME})
    # One label only: catch_discover_tests would take a second one for the name of a property.
    if(BERTH_SANITIZE MATCHES thread)
      set(label tsan)
    endif()
    if(ARG_THREADS)
      add_dependencies(berth_threads_tests ${NAME})
      if(BERTH_SANITIZE MATCHES thread)
        set(label threads)
      endif()
    else()
      foreach(source ${ARG_SOURCES} ${ARG_ALONE})
        if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${source})
          file(STRINGS ${source} threads REGEX "#include <(thread|future)>")
          if(threads)
            message(FATAL_ERROR "${NAME}: ${source} has threads, so its berth_test must have THREADS")
          endif()
        endif()
      endforeach()
    endif()
  endif()
  # Under a sanitizer starting a process costs more than most unit tests, so that a program's run together.
  if(BERTH_SANITIZE AND ARG_TIER STREQUAL unit)
    add_test(NAME ${ARG_TIER}:${NAME} COMMAND ${NAME})
    set_tests_properties(${ARG_TIER}:${NAME} PROPERTIES LABELS ${label} TIMEOUT ${ARG_TIMEOUT} ${ARG_PROPERTIES})
  else()
    catch_discover_tests(${NAME} TEST_PREFIX "${ARG_TIER}:" DISCOVERY_MODE PRE_TEST
      PROPERTIES LABELS ${label} TIMEOUT ${ARG_TIMEOUT} ${ARG_PROPERTIES})
  endif()
  add_dependencies(berth_${ARG_TIER}_tests ${NAME})
endfunction()
