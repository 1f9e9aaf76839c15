# SPDX-License-Identifier: Apache-2.0
# What every target of Berth is compiled with. Warnings travel through one INTERFACE target, so no flag is directory-wide
# but the sanitizers, which must reach every object that is linked together.
option(BERTH_TESTS "Build the tests" ON)
option(BERTH_FUZZ "Build libFuzzer targets (clang only)" OFF)
set(BERTH_SANITIZE "" CACHE STRING "Comma list for -fsanitize, or empty")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE AND NOT BERTH_SANITIZE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

add_library(berth_warnings INTERFACE)
add_library(berth::warnings ALIAS berth_warnings)
target_compile_options(berth_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual -Wcast-qual -Werror)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(berth_warnings INTERFACE -Wthread-safety)
endif()

if(BERTH_SANITIZE)
  add_compile_options(-fsanitize=${BERTH_SANITIZE} -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${BERTH_SANITIZE})
  if(BERTH_SANITIZE MATCHES undefined)
    add_compile_options(-fno-sanitize-recover=all)
  endif()
endif()

# Coverage feedback must come from all of our code, not only from the fuzz targets; those add the engine themselves.
if(BERTH_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Test programs are compiled, not run, for most of the time: one step less than what is shipped, and their dear headers
# once. A precompiled header asks for the same macros everywhere, and -pthread, which gRPC brings, defines one.
# At -O1, which is TSan's, too, GCC 12 loses sight of the bounds of a std::string that it moves.
set(BERTH_TEST_OPTIONS -pthread "$<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-stringop-overflow;-Wno-stringop-overread>")
if(NOT BERTH_SANITIZE)
  list(APPEND BERTH_TEST_OPTIONS -O1)
elseif(BERTH_SANITIZE MATCHES undefined)
  # A fifth of the time that compiling test programs takes. AddressSanitizer sees a null pointer used all the same, and what
  # is tested has both checks.
  list(APPEND BERTH_TEST_OPTIONS -fno-sanitize=null,alignment)
endif()
# GCC tidies up its memory over and over when it is given little; so much is there.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  add_compile_options(--param=ggc-min-heapsize=524288)
endif()
set(BERTH_TEST_PCH_DEFAULT OFF)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  set(BERTH_TEST_PCH_DEFAULT ON)
endif()
option(BERTH_TEST_PCH "Compile the headers that all test programs share once" ${BERTH_TEST_PCH_DEFAULT})

option(BERTH_UNITY "Compile a few sources as one: those of test programs, and under a sanitizer of our libraries" ON)

find_program(BERTH_CCACHE ccache)
if(BERTH_CCACHE)
  # The sloppiness without which ccache refuses what uses a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${BERTH_CCACHE})
endif()
find_program(BERTH_MOLD mold)
if(BERTH_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
