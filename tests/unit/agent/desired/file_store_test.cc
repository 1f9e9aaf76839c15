// SPDX-License-Identifier: Apache-2.0
#include "agent/desired/file_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>

#include "agent/desired/state_codec.h"
#include "common/base/real_event_loop.h"

namespace berth::agent {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "berth-state-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string path() const { return path_; }
  std::string file() const { return path_ + "/agent-state"; }
  void Write(const std::string& text) const { std::ofstream(file()) << text; }
  std::string Read() const {
    std::ostringstream text;
    text << std::ifstream(file()).rdbuf();
    return text.str();
  }

 private:
  std::string path_;
};

StoredState Sample(std::uint64_t version = 4) {
  StoredState state;
  state.boot_id = "5d3f0c1e";
  state.highest_term = 8;
  state.state = {7, version};
  state.settings = {absl::Milliseconds(250), absl::Milliseconds(1750), {{7, std::string(32, '\x01')}}};
  sync::Assignment a;
  a.address = *IpAddr::Parse("192.0.2.10");
  a.interface = "eth0";
  a.role = sync::Role::kAnnounce;
  a.since = {7, 2};
  a.candidates = {{"node-a", {*MacAddr::Parse("02:00:00:00:00:0a")}, "192.0.2.1:7445"}};
  a.yield_to = {*MacAddr::Parse("02:00:00:00:00:0b")};
  a.services = {{"shop", "web", {{"TCP", 80}, {"UDP", 53}}}};
  sync::Assignment b = a;
  b.address = *IpAddr::Parse("2001:db8::1");
  b.role = sync::Role::kMute;
  state.assignments = {a, b};
  return state;
}

// Saves and lets the writer's thread and the loop do their part.
absl::Status SaveAndWait(FileStore& store, RealEventLoop& loop, StoredState state) {
  std::optional<absl::Status> done;
  store.Save(std::move(state), [&](const absl::Status& s) {
    done = s;
    loop.Stop();
  });
  const TimerId limit = loop.RunAfter(absl::Seconds(10), [&loop] { loop.Stop(); });
  loop.Run();
  loop.Cancel(limit);
  return done.value_or(absl::DeadlineExceededError("never done"));
}

TEST_CASE("a state survives its file form in every field", "[unit]") {
  const auto decoded = DecodeState(EncodeState(Sample()));
  REQUIRE(decoded.ok());
  CHECK(*decoded == Sample());
}

TEST_CASE("a state file can be read by people", "[unit]") {
  const std::string text = EncodeState(Sample());
  CHECK(text.find("highest_term 8\n") != std::string::npos);
  CHECK(text.find("address: \"192.0.2.10\"") != std::string::npos);
}

TEST_CASE("a state with any byte changed or cut off is refused", "[unit]") {
  const std::string good = EncodeState(Sample());
  for (std::size_t i = 0; i < good.size(); ++i) {
    CAPTURE(i);
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    CHECK(absl::IsDataLoss(DecodeState(bad).status()));
    CHECK(absl::IsDataLoss(DecodeState(good.substr(0, i)).status()));
  }
}

TEST_CASE("what one agent saves the next one loads, from a folder that need not exist", "[unit]") {
  Folder folder;
  const std::unique_ptr<RealEventLoop> loop = *RealEventLoop::Create();
  const std::string below = folder.path() + "/a/b";
  {
    FileStore store(*loop, below);
    CHECK(store.Load()->has_value() == false);
    REQUIRE(SaveAndWait(store, *loop, Sample()).ok());
  }
  FileStore next(*loop, below);
  const auto loaded = next.Load();
  REQUIRE(loaded.ok());
  CHECK(*loaded == Sample());
}

TEST_CASE("a store that is closed still writes what waits, and the newest stays", "[unit]") {
  Folder folder;
  const std::unique_ptr<RealEventLoop> loop = *RealEventLoop::Create();
  {
    FileStore store(*loop, folder.path());
    for (std::uint64_t v = 1; v <= 50; ++v) store.Save(Sample(v), {});
  }
  loop->Post([&loop] { loop->Stop(); });
  loop->Run();
  FileStore next(*loop, folder.path());
  CHECK((*next.Load())->state.version == 50);
}

TEST_CASE("a corrupt file is moved aside, told, and in nobody's way", "[unit]") {
  Folder folder;
  const std::unique_ptr<RealEventLoop> loop = *RealEventLoop::Create();
  folder.Write("berth-agent-state 1\nrubbish");
  FileStore store(*loop, folder.path());
  const auto loaded = store.Load();
  CHECK(absl::IsDataLoss(loaded.status()));
  CHECK(std::string(loaded.status().message()).find("corrupt-1") != std::string::npos);
  CHECK(fs::exists(folder.file() + ".corrupt-1"));
  CHECK(store.Load()->has_value() == false);
  CHECK(SaveAndWait(store, *loop, Sample()).ok());
}

TEST_CASE("a folder that cannot be written to is an error told, and nothing else", "[unit]") {
  Folder folder;
  const std::unique_ptr<RealEventLoop> loop = *RealEventLoop::Create();
  std::ofstream(folder.path() + "/file") << "in the way";
  FileStore store(*loop, folder.path() + "/file/below");
  CHECK_FALSE(SaveAndWait(store, *loop, Sample()).ok());
}

TEST_CASE("two agents of one node may share the folder", "[unit]") {
  Folder folder;
  const std::unique_ptr<RealEventLoop> loop = *RealEventLoop::Create();
  FileStore older(*loop, folder.path()), newer(*loop, folder.path());
  REQUIRE(SaveAndWait(older, *loop, Sample(1)).ok());
  REQUIRE(SaveAndWait(newer, *loop, Sample(2)).ok());
  CHECK((*older.Load())->state.version == 2);
}

TEST_CASE("of two agents of one node the younger knows of the older for as long as that is an agent", "[unit]") {
  Folder folder;
  const std::unique_ptr<RealEventLoop> loop = *RealEventLoop::Create();
  auto older = std::make_unique<FileStore>(*loop, folder.path() + "/made");
  FileStore newer(*loop, folder.path() + "/made"), third(*loop, folder.path() + "/made");
  CHECK(older->Sole());
  CHECK(older->Sole());
  CHECK_FALSE(newer.Sole());
  older.reset();
  CHECK(newer.Sole());
  CHECK_FALSE(third.Sole());
  newer.Release();
  CHECK(third.Sole());
  FileStore nowhere(*loop, "/proc/nowhere");
  CHECK(nowhere.Sole());
}

TEST_CASE("what an agent killed in the middle of a write has left goes with the first write of a sole one", "[unit]") {
  Folder folder;
  const std::unique_ptr<RealEventLoop> loop = *RealEventLoop::Create();
  FileStore older(*loop, folder.path()), newer(*loop, folder.path());
  REQUIRE(older.Sole());
  REQUIRE_FALSE(newer.Sole());
  const std::string left = folder.file() + ".tmp-a1B2c3";
  std::ofstream(left) << "half a sta";
  REQUIRE(SaveAndWait(newer, *loop, Sample(1)).ok());
  CHECK(fs::exists(left));  // to the younger one it may be what the older one is writing
  REQUIRE(SaveAndWait(older, *loop, Sample(2)).ok());
  CHECK_FALSE(fs::exists(left));
  CHECK((*older.Load())->state.version == 2);
}

TEST_CASE("a removed state is gone with what a killed agent left of its next one", "[unit]") {
  Folder folder;
  const std::unique_ptr<RealEventLoop> loop = *RealEventLoop::Create();
  FileStore store(*loop, folder.path());
  REQUIRE(SaveAndWait(store, *loop, Sample()).ok());
  std::ofstream(folder.file() + ".tmp-a1B2c3") << "half a sta";
  CHECK(store.Remove().ok());
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("a removed state is gone, twice over", "[unit]") {
  Folder folder;
  const std::unique_ptr<RealEventLoop> loop = *RealEventLoop::Create();
  FileStore store(*loop, folder.path());
  REQUIRE(SaveAndWait(store, *loop, Sample()).ok());
  CHECK(store.Remove().ok());
  CHECK(store.Remove().ok());
  CHECK(store.Load()->has_value() == false);
}

}  // namespace
}  // namespace berth::agent
