// SPDX-License-Identifier: Apache-2.0
#include "common/base/file_lock.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>
#include <utility>

#include "tests/unit/common/temp_folder.h"

namespace berth {
namespace {

using Catch::Contains;

TEST_CASE("a second holder is refused and told who holds the lock", "[unit]") {
  const TempFolder folder;
  const auto first = FileLock::Acquire(folder / "lock");
  REQUIRE(first.ok());
  const auto second = FileLock::Acquire(folder / "lock");
  REQUIRE(absl::IsFailedPrecondition(second.status()));
  CHECK_THAT(std::string(second.status().message()),
             Contains(folder / "lock") && Contains("process " + std::to_string(::getpid())));
}

TEST_CASE("a lock ends with its holder and moves with it", "[unit]") {
  const TempFolder folder;
  {
    auto first = FileLock::Acquire(folder / "lock");
    REQUIRE(first.ok());
    const FileLock moved = *std::move(first);
    CHECK_FALSE(FileLock::Acquire(folder / "lock").ok());
  }
  CHECK(FileLock::Acquire(folder / "lock").ok());
}

TEST_CASE("a folder is locked as a file is, and nothing is left in it", "[unit]") {
  const TempFolder folder;
  {
    const auto lock = FileLock::AcquireFolder(folder / "");
    REQUIRE(lock.ok());
    CHECK(absl::IsFailedPrecondition(FileLock::AcquireFolder(folder / "").status()));
  }
  CHECK(FileLock::AcquireFolder(folder / "").ok());
  CHECK(std::filesystem::is_empty(folder / ""));
  CHECK(absl::IsNotFound(FileLock::AcquireFolder(folder / "none").status()));
}

TEST_CASE("a lock in an absent folder names its path", "[unit]") {
  const auto lock = FileLock::Acquire("/nonexistent/lock");
  CHECK(absl::IsNotFound(lock.status()));
  CHECK_THAT(std::string(lock.status().message()), Contains("/nonexistent/lock"));
}

}  // namespace
}  // namespace berth
