// SPDX-License-Identifier: Apache-2.0
#include "controller/files/folder_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/controller/files/folder_testing.h"

namespace berth::files {
namespace {

namespace fs = std::filesystem;

// A watch on TempFolder/m, and what it told.
struct Watched {
  Watched() {
    fs::create_directory(folder / "m");
    FolderWatch::Callbacks callbacks;
    callbacks.on_changes = [this](FolderWatch::Changes changes) {
      ++calls;
      all = all || changes.all;
      names.insert(changes.names.begin(), changes.names.end());
      being_written = changes.being_written;
    };
    callbacks.on_lost = [this](const absl::Status& status) { lost.emplace_back(status.message()); };
    watch = std::make_unique<FolderWatch>(runner.loop(), folder / "m", std::move(callbacks));
  }
  // Starts over with what was told.
  void Forget() {
    calls = 0;
    all = false;
    names.clear();
    lost.clear();
  }
  // Waits until `name` and all that happened before it were told.
  void AwaitMark(const std::string& name = "zz-mark.yaml") {
    WriteText(folder / ("m/" + name), "# mark\n");
    runner.Await([&] { return names.count(name) != 0; });
    names.erase(name);
  }

  TempFolder folder;
  LoopRunner runner;
  std::unique_ptr<FolderWatch> watch;
  int calls = 0;
  bool all = false;
  std::set<std::string> names, being_written;
  std::vector<std::string> lost;
};

using Names = std::set<std::string>;

}  // namespace

TEST_CASE("files written, moved, linked and deleted are noticed, others are not", "[unit]") {
  Watched w;
  WriteText(w.folder / "m/old.yaml", "x");
  WriteText(w.folder / "m/mv.yaml", "x");
  WriteText(w.folder / "outside.yaml", "x");
  REQUIRE(w.watch->Start().ok());
  WriteText(w.folder / "m/new.yaml", "x");
  WriteText(w.folder / "m/new.json", "x");
  WriteText(w.folder / "m/.hidden.yaml", "x");
  WriteText(w.folder / "m/note.txt", "x");
  fs::remove(w.folder / "m/old.yaml");
  fs::rename(w.folder / "m/mv.yaml", w.folder / "m/moved.yml");
  fs::create_symlink(w.folder / "outside.yaml", w.folder / "m/soft.yaml");
  fs::create_hard_link(w.folder / "outside.yaml", w.folder / "m/hard.yaml");
  w.AwaitMark();
  CHECK(w.names == Names{"new.yaml", "new.json", "old.yaml", "mv.yaml", "moved.yml", "soft.yaml", "hard.yaml"});
  CHECK_FALSE(w.all);
  CHECK(w.calls == 1);  // together
  CHECK(w.lost.empty());
}

TEST_CASE("a file open for writing is held back until it is closed", "[unit]") {
  Watched w;
  REQUIRE(w.watch->Start().ok());
  const int fd = open((w.folder / "m/slow.yaml").c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(fd >= 0);
  REQUIRE(write(fd, "half", 4) == 4);
  w.AwaitMark();
  CHECK(w.names == Names{});
  CHECK(w.being_written == Names{"slow.yaml"});
  close(fd);
  w.runner.Await([&] { return w.names.count("slow.yaml") != 0; });
  CHECK(w.being_written == Names{});
}

TEST_CASE("a file that nobody closes is looked at once it rests", "[unit]") {
  Watched w;
  REQUIRE(w.watch->Start().ok());
  const int fd = open((w.folder / "m/open.yaml").c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(write(fd, "all", 3) == 3);
  w.runner.Await([&] { return w.names.count("open.yaml") != 0; });
  close(fd);
}

TEST_CASE("the swap of a mounted ConfigMap is a change of everything", "[unit]") {
  Watched w;
  fs::create_directory(w.folder / "m/..1");
  fs::create_symlink("..1", w.folder / "m/..data");
  REQUIRE(w.watch->Start().ok());
  fs::create_directory(w.folder / "m/..2");
  fs::create_symlink("..2", w.folder / "m/..data_tmp");
  fs::rename(w.folder / "m/..data_tmp", w.folder / "m/..data");
  w.runner.Await([&] { return w.all; });
}

TEST_CASE("a folder that vanishes is told once, and all of it is told when it is back", "[unit]") {
  Watched w;
  REQUIRE(w.watch->Start().ok());
  fs::remove(w.folder / "m");
  w.runner.Await([&] { return !w.lost.empty(); });
  CHECK(w.lost == std::vector<std::string>{"manifest folder \"" + (w.folder / "m") + "\" is gone"});
  CHECK_FALSE(w.all);
  fs::create_directory(w.folder / "m");
  w.runner.Await([&] { return w.all; });
  CHECK(w.lost.size() == 1);
  w.Forget();
  w.AwaitMark();  // and it is watched again
}

TEST_CASE("a folder that is replaced by another is followed to the new one", "[unit]") {
  Watched w;
  fs::create_directory(w.folder / "next");
  REQUIRE(w.watch->Start().ok());
  fs::rename(w.folder / "m", w.folder / "old");
  fs::rename(w.folder / "next", w.folder / "m");
  w.runner.Await([&] { return w.all; });
  w.Forget();
  WriteText(w.folder / "old/not-ours.yaml", "x");
  w.AwaitMark();
  CHECK(w.names == Names{});
}

TEST_CASE("a watch does not start without a folder", "[unit]") {
  Watched w;
  fs::remove(w.folder / "m");
  const absl::Status missing = w.watch->Start();
  CHECK(absl::IsNotFound(missing));
  CHECK(std::string(missing.message()).find("manifest folder \"" + (w.folder / "m") + "\"") != std::string::npos);
  WriteText(w.folder / "m", "a file");
  CHECK_FALSE(w.watch->Start().ok());
}

TEST_CASE("a stopped watch tells nothing", "[unit]") {
  Watched w;
  REQUIRE(w.watch->Start().ok());
  WriteText(w.folder / "m/a.yaml", "x");
  w.watch->Stop();
  bool later = false;
  w.runner.loop().RunAfter(absl::Milliseconds(100), [&] { later = true; });
  w.runner.Await([&] { return later; });
  CHECK(w.calls == 0);
}

}  // namespace berth::files
