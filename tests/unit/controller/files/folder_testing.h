// SPDX-License-Identifier: Apache-2.0
// tests/unit/controller/files/folder_testing.h -- a folder of the test's own, and a real loop that runs until something
// has happened.
#ifndef BERTH_TESTS_UNIT_CONTROLLER_FILES_FOLDER_TESTING_H_
#define BERTH_TESTS_UNIT_CONTROLLER_FILES_FOLDER_TESTING_H_

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>

#include "common/base/real_event_loop.h"

namespace berth::files {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "berth-files-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline void WriteText(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }
inline std::string ReadText(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class LoopRunner {
 public:
  LoopRunner() : loop_(*RealEventLoop::Create()) {}
  RealEventLoop& loop() { return *loop_; }

  // Runs the loop until `done`; fails the test when that takes 20 s.
  void Await(const std::function<bool()>& done) {
    bool late = false;
    const TimerId limit = loop_->RunAfter(absl::Seconds(20), [&] {
      late = true;
      loop_->Stop();
    });
    std::function<void()> look = [&] {
      if (done()) return loop_->Stop();
      loop_->RunAfter(absl::Milliseconds(1), look);
    };
    look();
    loop_->Run();
    loop_->Cancel(limit);
    REQUIRE_FALSE(late);
  }

 private:
  std::unique_ptr<RealEventLoop> loop_;
};

}  // namespace berth::files

#endif  // BERTH_TESTS_UNIT_CONTROLLER_FILES_FOLDER_TESTING_H_
