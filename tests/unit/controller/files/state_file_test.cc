// SPDX-License-Identifier: Apache-2.0
#include "controller/files/state_file.h"

#include <sys/stat.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/atomic_file.h"
#include "tests/unit/controller/files/folder_testing.h"

namespace berth::files {
namespace {

RecordedService Holding(const std::string& address) {
  RecordedService record;
  record.allocations = {{*IpAddr::Parse(address), "edge", model::Protocol::kLayer2, "eth0"}};
  return record;
}

model::ObjectId Id(int n) { return {"default", absl::StrCat("s", n)}; }

}  // namespace

TEST_CASE("what was put into the state file is there when it says so, and after a restart", "[unit]") {
  TempFolder folder;
  LoopRunner runner;
  std::vector<std::string> done;
  {
    auto state = StateFile::Open(runner.loop(), folder / "state");
    REQUIRE(state.ok());
    CHECK((*state)->loaded() == StateData());
    CHECK((*state)->warning().empty());
    (*state)->PutTerm(5, [&](const absl::Status& status) { done.push_back("term " + status.ToString()); });
    (*state)->PutService(Id(1), Holding("10.0.0.1"),
                         [&](const absl::Status& status) { done.push_back("put " + status.ToString()); });
    CHECK(done.empty());
    runner.Await([&] { return done.size() == 2; });
    CHECK(done == std::vector<std::string>{"term OK", "put OK"});
    const absl::StatusOr<StateData> on_disk = DecodeState(ReadText(folder / "state/state.json"));
    REQUIRE(on_disk.ok());
    CHECK(on_disk->term == 5);
    CHECK(on_disk->services.count(Id(1)) == 1);
  }
  auto state = StateFile::Open(runner.loop(), folder / "state");
  REQUIRE(state.ok());
  CHECK((*state)->loaded().term == 5);
  CHECK((*state)->loaded().services.at(Id(1)) == Holding("10.0.0.1"));
  (*state)->PutService(Id(1), std::nullopt, nullptr);
  (*state)->PutAgents({{"node1", {}}}, nullptr);
  (*state)->Finish();  // waits for them
  const absl::StatusOr<StateData> on_disk = DecodeState(ReadText(folder / "state/state.json"));
  REQUIRE(on_disk.ok());
  CHECK(on_disk->services.empty());
  CHECK(on_disk->term == 5);
  CHECK(on_disk->agents.size() == 1);
}

TEST_CASE("what a controller killed in the middle of a write has left is taken away by the next one", "[unit]") {
  TempFolder folder;
  LoopRunner runner;
  const std::string left = folder / "state/state.json.tmp-a1B2c3";
  REQUIRE(MakeFolders(folder / "state").ok());
  REQUIRE(WriteFileAtomically(left, "{ half a sta").ok());
  auto state = StateFile::Open(runner.loop(), folder / "state");
  REQUIRE(state.ok());
  CHECK(ReadFile(left)->has_value() == false);
}

TEST_CASE("many changes of one turn are one write of the state file", "[unit]") {
  TempFolder folder;
  LoopRunner runner;
  auto state = StateFile::Open(runner.loop(), folder.path());
  REQUIRE(state.ok());
  // Each write makes a new file: the number of different inodes seen at answers is the number of writes.
  std::set<std::uint64_t> seen;
  int answered = 0;
  for (int i = 0; i < 1000; ++i) {
    (*state)->PutService(Id(i), Holding("10.0.0.1"), [&](const absl::Status& status) {
      CHECK(status.ok());
      ++answered;
      struct stat st{};
      CHECK(stat((folder / "state.json").c_str(), &st) == 0);
      seen.insert(st.st_ino);
    });
  }
  runner.Await([&] { return answered == 1000; });
  CHECK(seen.size() == 1);
}

TEST_CASE("a state folder has one user at a time", "[unit]") {
  TempFolder folder;
  LoopRunner runner;
  {
    auto first = StateFile::Open(runner.loop(), folder.path());
    REQUIRE(first.ok());
    const absl::Status second = StateFile::Open(runner.loop(), folder.path()).status();
    CHECK(absl::IsFailedPrecondition(second));
    CHECK(std::string(second.message()).find(folder.path().string() + "\" is used by another controller") !=
          std::string::npos);
  }
  CHECK(StateFile::Open(runner.loop(), folder.path()).ok());
}

TEST_CASE("a corrupt state file is moved aside and told, and the state begins empty", "[unit]") {
  TempFolder folder;
  LoopRunner runner;
  const std::string garbage =
      GENERATE("", "{", "{\"format\": \"berth-state/1\", \"term\": 4", "null", "[]", "\x00\xff");
  WriteText(folder / "state.json", garbage);
  WriteText(folder / "state.json.corrupt-1", "an older one");
  auto state = StateFile::Open(runner.loop(), folder.path());
  REQUIRE(state.ok());
  CHECK((*state)->loaded() == StateData());
  CHECK((*state)->warning().find("state.json: is corrupt and was moved to ") != std::string::npos);
  CHECK((*state)->warning().find("state.json.corrupt-2") != std::string::npos);
  CHECK(ReadText(folder / "state.json.corrupt-2") == garbage);
  CHECK(ReadText(folder / "state.json.corrupt-1") == "an older one");
  CHECK_FALSE(std::filesystem::exists(folder / "state.json"));
}

TEST_CASE("a state file of a newer version stops the start and stays as it is", "[unit]") {
  TempFolder folder;
  LoopRunner runner;
  const std::string text = "{\"format\": \"berth-state/9\"}";
  WriteText(folder / "state.json", text);
  const absl::Status status = StateFile::Open(runner.loop(), folder.path()).status();
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(std::string(status.message()).find("state.json: format \"berth-state/9\"") != std::string::npos);
  CHECK(ReadText(folder / "state.json") == text);
}

TEST_CASE("a state folder that cannot be made stops the start", "[unit]") {
  TempFolder folder;
  LoopRunner runner;
  WriteText(folder / "file", "x");
  const absl::Status status = StateFile::Open(runner.loop(), folder / "file/state").status();
  CHECK_FALSE(status.ok());
  CHECK(std::string(status.message()).find("file/state") != std::string::npos);
}

TEST_CASE("a failed write is answered so, forgotten, and the next one succeeds alone", "[unit]") {
  TempFolder folder;
  LoopRunner runner;
  auto state = StateFile::Open(runner.loop(), folder / "state");
  REQUIRE(state.ok());
  std::vector<bool> answers;
  const auto answer = [&](const absl::Status& status) { answers.push_back(status.ok()); };
  (*state)->PutService(Id(1), Holding("10.0.0.1"), answer);
  runner.Await([&] { return answers.size() == 1; });
  std::filesystem::rename(folder / "state", folder / "away");
  (*state)->PutService(Id(1), std::nullopt, answer);
  (*state)->PutService(Id(2), Holding("10.0.0.2"), answer);
  (*state)->PutTerm(9, answer);
  (*state)->PutAgents({{"node1", {}}}, answer);
  runner.Await([&] { return answers.size() == 5; });
  std::filesystem::rename(folder / "away", folder / "state");
  (*state)->PutService(Id(3), Holding("10.0.0.3"), answer);
  runner.Await([&] { return answers.size() == 6; });
  CHECK(answers == std::vector<bool>{true, false, false, false, false, true});
  const absl::StatusOr<StateData> on_disk = DecodeState(ReadText(folder / "state/state.json"));
  REQUIRE(on_disk.ok());
  StateData wanted;
  wanted.services = {{Id(1), Holding("10.0.0.1")}, {Id(3), Holding("10.0.0.3")}};
  CHECK(*on_disk == wanted);
}

}  // namespace berth::files
