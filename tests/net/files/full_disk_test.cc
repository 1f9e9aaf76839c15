// SPDX-License-Identifier: Apache-2.0
// A state folder on a disk that is full, or turned read-only: what was written stays, what was not is answered so.
#include <sched.h>
#include <sys/mount.h>

#include "controller/files/state_file.h"
#include "tests/unit/controller/files/folder_testing.h"

namespace berth::files {
namespace {

RecordedService Holding(std::size_t bytes) {
  RecordedService record;
  record.allocations = {{*IpAddr::Parse("10.0.0.1"), "edge", model::Protocol::kLayer2, "eth0"}};
  record.managed_by = std::string(bytes, 'x');
  return record;
}

// A file system of a quarter megabyte, seen by this process only.
struct SmallDisk {
  SmallDisk() {
    REQUIRE(unshare(CLONE_NEWNS) == 0);
    REQUIRE(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    REQUIRE(mount("berth", folder.path().c_str(), "tmpfs", 0, "size=256k") == 0);
  }
  ~SmallDisk() { umount2(folder.path().c_str(), MNT_DETACH); }
  TempFolder folder;
};

}  // namespace

TEST_CASE("a state folder on a full disk refuses what does not fit and keeps the rest", "[net]") {
  SmallDisk disk;
  LoopRunner runner;
  auto state = StateFile::Open(runner.loop(), disk.folder.path());
  REQUIRE(state.ok());
  std::vector<absl::Status> answers;
  const auto answer = [&](const absl::Status& status) { answers.push_back(status); };
  (*state)->PutService({"default", "small"}, Holding(10), answer);
  runner.Await([&] { return answers.size() == 1; });
  (*state)->PutService({"default", "large"}, Holding(400'000), answer);
  runner.Await([&] { return answers.size() == 2; });
  (*state)->PutService({"default", "other"}, Holding(10), answer);
  runner.Await([&] { return answers.size() == 3; });
  CHECK(answers[0].ok());
  CHECK(absl::IsResourceExhausted(answers[1]));
  CHECK(answers[2].ok());
  const absl::StatusOr<StateData> on_disk = DecodeState(ReadText(disk.folder / "state.json"));
  REQUIRE(on_disk.ok());
  CHECK(on_disk->services.size() == 2);
  CHECK(on_disk->services.count({"default", "large"}) == 0);
}

TEST_CASE("a state folder that turned read-only refuses writes until it is writable again", "[net]") {
  SmallDisk disk;
  LoopRunner runner;
  auto state = StateFile::Open(runner.loop(), disk.folder.path());
  REQUIRE(state.ok());
  std::vector<absl::Status> answers;
  const auto answer = [&](const absl::Status& status) { answers.push_back(status); };
  // The lock is open for writing, so the mount itself cannot turn: a read-only view of it is put on top.
  const std::string path = disk.folder.path();
  REQUIRE(mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0);
  REQUIRE(mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0);
  (*state)->PutTerm(4, answer);
  runner.Await([&] { return answers.size() == 1; });
  CHECK(absl::IsFailedPrecondition(answers[0]));
  REQUIRE(umount2(path.c_str(), MNT_DETACH) == 0);
  (*state)->PutTerm(5, answer);
  runner.Await([&] { return answers.size() == 2; });
  CHECK(answers[1].ok());
}

}  // namespace berth::files
