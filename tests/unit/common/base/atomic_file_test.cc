// SPDX-License-Identifier: Apache-2.0
#include "common/base/atomic_file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "tests/unit/common/temp_folder.h"

namespace berth {
namespace {

using Catch::Contains;

std::string Content(const std::string& path) {
  const auto bytes = ReadFile(path);
  REQUIRE(bytes.ok());
  REQUIRE(bytes->has_value());
  return **bytes;
}

mode_t ModeOf(const std::string& path) {
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

// Writes past `bytes` fail with EFBIG, as they fail with ENOSPC on a full disk, also for root.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &old_); }

 private:
  rlimit old_{};
};

TEST_CASE("a written file is read back byte for byte, with the mode asked for", "[unit]") {
  const TempFolder folder;
  const std::string bytes = std::string("a\0b\n", 4) + std::string(100'000, 'x');
  REQUIRE(WriteFileAtomically(folder / "state", bytes, 0640).ok());
  CHECK(Content(folder / "state") == bytes);
  CHECK(ModeOf(folder / "state") == 0640);
  CHECK(folder.Names() == std::vector<std::string>{"state"});
}

TEST_CASE("temporaries of a file that were left by a write that was killed go, and nothing else", "[unit]") {
  const TempFolder folder;
  const std::vector<std::string> others = {"other.tmp-a1B2c3", "state", "state.corrupt-1", "state.tmp-",
                                           "state.tmp-a1B2c3x"};
  for (const std::string& name : others) REQUIRE(WriteFileAtomically(folder / name, name).ok());
  for (const char* name : {"state.tmp-a1B2c3", "state.tmp-XXXXXX"})
    REQUIRE(WriteFileAtomically(folder / name, name).ok());
  RemoveTemporaries(folder / "state");
  CHECK(folder.Names() == others);
  RemoveTemporaries(folder / "absent/state");
}

TEST_CASE("a write that is killed leaves a temporary that is found", "[unit]") {
  const TempFolder folder;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    (void)WriteFileAtomically(folder / "state", [](const ByteSink&) { ::_exit(0); });
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  REQUIRE(folder.Names().size() == 1);
  RemoveTemporaries(folder / "state");
  CHECK(folder.Names().empty());
}

TEST_CASE("a second write replaces the file by another one", "[unit]") {
  const TempFolder folder;
  REQUIRE(WriteFileAtomically(folder / "state", "old").ok());
  const std::string link = folder / "link";
  REQUIRE(::link((folder / "state").c_str(), link.c_str()) == 0);
  REQUIRE(WriteFileAtomically(folder / "state", "new").ok());
  CHECK(Content(folder / "state") == "new");
  CHECK(Content(link) == "old");  // an overwrite in place would show here, and be half done in a crash
}

TEST_CASE("a write that fails half way leaves the old file and no other", "[unit]") {
  const TempFolder folder;
  REQUIRE(WriteFileAtomically(folder / "state", "old").ok());
  absl::Status status;
  {
    const FileSizeLimit limit(10);
    status = WriteFileAtomically(folder / "state", std::string(1000, 'n'));
  }
  CHECK(absl::IsResourceExhausted(status));
  CHECK_THAT(std::string(status.message()), Contains(folder / "state") && Contains("File too large"));
  CHECK(Content(folder / "state") == "old");
  CHECK(folder.Names() == std::vector<std::string>{"state"});
}

TEST_CASE("a folder that takes no files is named in the error", "[unit]") {
  const absl::Status absent = WriteFileAtomically("/nonexistent/berth/state", "x");
  CHECK(absl::IsNotFound(absent));
  CHECK_THAT(std::string(absent.message()), Contains("/nonexistent/berth") && Contains("No such file or directory"));
  // sysfs and procfs refuse new files also from root, as a read-only file system does.
  const absl::Status refused = WriteFileAtomically("/proc/self/state", "x");
  CHECK_FALSE(refused.ok());
  CHECK_THAT(std::string(refused.message()), Contains("/proc/self"));
}

TEST_CASE("a target that is a folder is left alone", "[unit]") {
  const TempFolder folder;
  REQUIRE(MakeFolders(folder / "state").ok());
  const absl::Status status = WriteFileAtomically(folder / "state", "x");
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(folder.Names() == std::vector<std::string>{"state"});
}

TEST_CASE("an absent file reads as nothing, an empty one as empty", "[unit]") {
  const TempFolder folder;
  const auto absent = ReadFile(folder / "state");
  REQUIRE(absent.ok());
  CHECK_FALSE(absent->has_value());
  REQUIRE(WriteFileAtomically(folder / "state", "").ok());
  CHECK(Content(folder / "state").empty());
}

TEST_CASE("a file that cannot be read is an error with its path", "[unit]") {
  const TempFolder folder;
  const auto read = ReadFile(folder.path());
  CHECK(absl::IsFailedPrecondition(read.status()));
  CHECK_THAT(std::string(read.status().message()), Contains(folder.path()) && Contains("Is a directory"));
}

TEST_CASE("corrupt files are moved aside and never over one another", "[unit]") {
  const TempFolder folder;
  for (int n = 1; n <= 2; ++n) {
    REQUIRE(WriteFileAtomically(folder / "state", "bad " + std::to_string(n)).ok());
    const auto aside = MoveAside(folder / "state");
    REQUIRE(aside.ok());
    CHECK(*aside == folder / ("state.corrupt-" + std::to_string(n)));
  }
  CHECK(Content(folder / "state.corrupt-1") == "bad 1");
  CHECK(Content(folder / "state.corrupt-2") == "bad 2");
  CHECK(absl::IsNotFound(MoveAside(folder / "state").status()));
}

TEST_CASE("folders are made with those above them, once", "[unit]") {
  const TempFolder folder;
  REQUIRE(MakeFolders(folder / "a/b/c").ok());
  REQUIRE(MakeFolders(folder / "a/b/c").ok());
  CHECK(WriteFileAtomically(folder / "a/b/c/state", "x").ok());
  CHECK(absl::IsFailedPrecondition(MakeFolders(folder / "a/b/c/state")));
  CHECK_FALSE(MakeFolders(folder / "a/b/c/state/d").ok());
}

}  // namespace
}  // namespace berth
