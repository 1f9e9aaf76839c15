# SPDX-License-Identifier: Apache-2.0
# What is shipped carries its larger libraries inside: fewer mappings and relocations, so less memory on every node and a
# faster start (docs/decisions/0007-programs-carry-their-libraries.md has the figures).
#
#   berth_packages(deps absl::status berth::net)   -> the same list, packages left out for programs that carry them inside
#   berth_program(berth-agent)                     -> an executable as it is shipped: hardened, and static where possible
#   berth_program(berth-controller SHARED_OPENSSL) -> the same, but for OpenSSL: for a program with shared libraries that are
#                                                     built on it (libcurl, cpp-httplib) and share objects of it with us
#
# Tests link the same objects with the shared libraries: it is the executable that decides, by its property BERTH_STATIC.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT BERTH_SANITIZE)
  option(BERTH_STATIC "Link gRPC, protobuf, abseil, OpenSSL and others statically into the programs" ON)
else()
  option(BERTH_STATIC "Link gRPC, protobuf, abseil, OpenSSL and others statically into the programs" OFF)
endif()

# Names of archives, in no order: they are linked as one group. Abseil's are many and differ by version: all there are.
# Not here, since Debian has no archive of them: libmnl, spdlog, fmt, prometheus-cpp; nor libpcap, whose archive
# wants D-Bus, nor libcurl, whose archive wants a dozen others.
set(BERTH_ARCHIVES grpc++_reflection grpc++ grpc gpr address_sorting upb protobuf ssl crypto cares re2 z
  nl-route-3 nl-3 nftnl xxhash yaml-cpp)
# And the targets they stand for.
set(BERTH_ARCHIVED "^(absl|gRPC|protobuf|OpenSSL)::|^PkgConfig::(LIBNL|LIBNFTNL|RE2|XXHASH)$|^yaml-cpp$")

# Sets OUT to the paths of all archives, or to nothing with the reason in WHY.
function(berth_find_archives OUT WHY)
  set(found)
  foreach(name IN LISTS BERTH_ARCHIVES)
    find_library(BERTH_ARCHIVE_${name} lib${name}.a)
    mark_as_advanced(BERTH_ARCHIVE_${name})
    if(NOT BERTH_ARCHIVE_${name})
      set(${WHY} "lib${name}.a is not there" PARENT_SCOPE)
      set(${OUT} "" PARENT_SCOPE)
      return()
    endif()
    list(APPEND found ${BERTH_ARCHIVE_${name}})
  endforeach()
  cmake_path(GET BERTH_ARCHIVE_grpc PARENT_PATH folder)
  file(GLOB abseil ${folder}/libabsl_*.a)
  list(APPEND found ${abseil})
  set(${OUT} "${found}" PARENT_SCOPE)
endfunction()

if(BERTH_STATIC)
  berth_find_archives(berth_archives berth_why)
  if(berth_archives)
    set(berth_static_link -Wl,--start-group ${berth_archives} -Wl,--end-group PkgConfig::LIBMNL Threads::Threads
      ${CMAKE_DL_LIBS} rt m)
    # Other versions of these packages may want more archives than are named here: better shared than not at all.
    include(CheckCXXSourceCompiles)
    set(CMAKE_REQUIRED_LIBRARIES ${berth_static_link})
    check_cxx_source_compiles("
      #include <google/protobuf/empty.pb.h>
      #include <grpcpp/grpcpp.h>
      int main() {
        google::protobuf::Empty empty;
        auto channel = grpc::CreateChannel(empty.GetTypeName(), grpc::SslCredentials({}));
        grpc::ServerBuilder builder;
        return channel != nullptr && builder.BuildAndStart() != nullptr;
      }" BERTH_ARCHIVES_LINK)
    unset(CMAKE_REQUIRED_LIBRARIES)
    if(NOT BERTH_ARCHIVES_LINK)
      set(berth_archives)
      set(berth_why "a small program does not link with them, see CMakeFiles/CMakeError.log or CMakeConfigureLog.yaml")
    endif()
  endif()
  if(berth_archives)
    add_library(berth_archives INTERFACE)
    target_link_libraries(berth_archives INTERFACE ${berth_static_link})
    # The targets left out said where headers are, too.
    foreach(package gRPC::grpc++ protobuf::libprotobuf absl::status OpenSSL::Crypto)
      target_include_directories(berth_archives SYSTEM INTERFACE
        $<TARGET_PROPERTY:${package},INTERFACE_INCLUDE_DIRECTORIES>)
    endforeach()
    # The same with one OpenSSL in the process, which is the shared one.
    add_library(berth_archives_shared_openssl INTERFACE)
    set(berth_static_link_shared_openssl ${berth_static_link})
    list(REMOVE_ITEM berth_static_link_shared_openssl ${BERTH_ARCHIVE_ssl} ${BERTH_ARCHIVE_crypto})
    target_link_libraries(berth_archives_shared_openssl INTERFACE ${berth_static_link_shared_openssl} OpenSSL::SSL
      OpenSSL::Crypto)
    target_include_directories(berth_archives_shared_openssl SYSTEM INTERFACE
      $<TARGET_PROPERTY:berth_archives,INTERFACE_SYSTEM_INCLUDE_DIRECTORIES>)
  else()
    message(STATUS "Programs use shared libraries and take some 5 MiB more memory each: ${berth_why}")
  endif()
endif()

function(berth_packages OUT)
  set(deps)
  foreach(dep IN LISTS ARGN)
    if(TARGET berth_archives AND dep MATCHES "${BERTH_ARCHIVED}")
      set(dep "$<$<NOT:$<BOOL:$<TARGET_PROPERTY:BERTH_STATIC>>>:${dep}>")
    endif()
    list(APPEND deps "${dep}")
  endforeach()
  set(${OUT} "${deps}" PARENT_SCOPE)
endfunction()

function(berth_program NAME)
  cmake_parse_arguments(ARG "SHARED_OPENSSL" "" "" ${ARGN})
  # Addresses of everything differ at each start, and nothing that holds pointers to functions stays writable.
  target_link_options(${NAME} PRIVATE -pie -Wl,-z,relro,-z,now -Wl,--gc-sections)
  if(TARGET berth_archives)
    set_target_properties(${NAME} PROPERTIES BERTH_STATIC ON)
    # A program shows its shared libraries what they ask for. libcurl brings OpenSSL and zlib as shared libraries, and half of
    # their functions would be answered for by the program's own copies, with other global state.
    target_link_options(${NAME} PRIVATE -Wl,--exclude-libs,ALL)
    if(ARG_SHARED_OPENSSL)
      target_link_libraries(${NAME} PRIVATE berth_archives_shared_openssl)
    else()
      target_link_libraries(${NAME} PRIVATE berth_archives)
    endif()
  endif()
endfunction()
