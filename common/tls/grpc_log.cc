// SPDX-License-Identifier: Apache-2.0
#include "common/tls/grpc_log.h"

#include <grpc/support/log.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "common/obs/log.h"

namespace berth {
namespace {

constexpr std::chrono::seconds kQuiet{60};

// One stranger that dials in a loop must not fill the log: each place in gRPC's source speaks at most once a minute and
// says then how often it was not heard. There are as many entries as places, so this does not grow.
class Limiter {
 public:
  // How many were held back since the last one that passed, or nullopt to hold this one back too.
  std::optional<std::uint64_t> Pass(absl::string_view file, int line) {
    const auto now = std::chrono::steady_clock::now();
    std::lock_guard lock(mutex_);
    const auto [entry, is_new] = places_.try_emplace({std::string(file), line}, Place{now, 0});
    Place& place = entry->second;
    if (!is_new && now - place.last < kQuiet) {
      ++place.held_back;
      return std::nullopt;
    }
    place.last = now;
    return std::exchange(place.held_back, 0);
  }

 private:
  struct Place {
    std::chrono::steady_clock::time_point last;
    std::uint64_t held_back;
  };
  std::mutex mutex_;  // guards places_
  std::map<std::pair<std::string, int>, Place> places_;
};

void ToOurLog(gpr_log_func_args* args) {
  static Limiter* const limiter = new Limiter;  // gRPC's threads may outlive static destructors
  absl::string_view file = args->file;
  file.remove_prefix(file.rfind('/') + 1);  // npos + 1 is 0
  if (args->severity != GPR_LOG_SEVERITY_ERROR) {
    LogDebug("grpc says", {{"text", args->message}, {"file", file}, {"line", args->line}});
    return;
  }
  if (const std::optional<std::uint64_t> held_back = limiter->Pass(file, args->line)) {
    LogWarn("grpc says", {{"text", args->message}, {"file", file}, {"line", args->line}, {"held_back", *held_back}});
  }
}

}  // namespace

void RouteGrpcLog() {
  gpr_set_log_function(ToOurLog);
  gpr_set_log_verbosity(LogEnabled(LogLevel::kDebug) ? GPR_LOG_SEVERITY_INFO : GPR_LOG_SEVERITY_ERROR);
}

}  // namespace berth
