// SPDX-License-Identifier: Apache-2.0
// tests/contract/run_berthctl.h -- the berthctl binary as a shell runs it.
#ifndef BERTH_TESTS_CONTRACT_RUN_BERTHCTL_H_
#define BERTH_TESTS_CONTRACT_RUN_BERTHCTL_H_

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/contract/admin_harness.h"

namespace berth {

struct Ran {
  int code = -1;
  std::string out, err;
};

// One at a time in a process.
class BerthctlProcess {
 public:
  explicit BerthctlProcess(const std::string& arguments)
      : err_file_(absl::StrCat("berthctl_contract_", getpid(), ".err")),
        pipe_(popen(absl::StrCat(BERTHCTL_BINARY, " ", arguments, " 2>", err_file_).c_str(), "r")) {
    REQUIRE(pipe_ != nullptr);
  }
  BerthctlProcess(AdminStage& stage, const std::string& arguments)
      : BerthctlProcess(absl::StrCat("--server=", stage.target(), " ", arguments)) {}

  // Once.
  Ran Wait() {
    Ran ran;
    char buffer[4096];
    for (std::size_t n = 0; (n = fread(buffer, 1, sizeof(buffer), pipe_)) > 0;) ran.out.append(buffer, n);
    const int status = pclose(pipe_);
    ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    std::stringstream text;
    text << std::ifstream(err_file_).rdbuf();
    ran.err = text.str();
    std::remove(err_file_.c_str());
    return ran;
  }

 private:
  const std::string err_file_;
  FILE* const pipe_;
};

inline Ran RunBerthctl(const std::string& arguments) { return BerthctlProcess(arguments).Wait(); }
inline Ran RunOn(AdminStage& stage, const std::string& arguments) { return BerthctlProcess(stage, arguments).Wait(); }

}  // namespace berth

#endif  // BERTH_TESTS_CONTRACT_RUN_BERTHCTL_H_
