// SPDX-License-Identifier: Apache-2.0
#include "common/obs/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "common/base/atomic_file.h"

namespace berth {
namespace {

std::optional<std::string> Slurp(const std::string& path) {
  absl::StatusOr<std::optional<std::string>> bytes = ReadFile(path);
  return bytes.ok() ? *std::move(bytes) : std::nullopt;
}

std::optional<double> BootTime() {
  const std::optional<std::string> stat = Slurp("/proc/stat");
  if (!stat) return std::nullopt;
  for (absl::string_view line : absl::StrSplit(*stat, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    double seconds = 0;
    if (words.size() == 2 && words[0] == "btime" && absl::SimpleAtod(words[1], &seconds)) return seconds;
  }
  return std::nullopt;
}

std::optional<double> OpenFds() {
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return std::nullopt;
  int count = 0;
  while (const dirent* entry = ::readdir(folder)) {
    if (entry->d_name[0] != '.') ++count;
  }
  ::closedir(folder);
  return count - 1;  // the folder's own
}

}  // namespace

std::optional<ProcStat> ParseProcStat(absl::string_view text) {
  const std::size_t end_of_name = text.rfind(')');
  if (end_of_name == absl::string_view::npos) return std::nullopt;
  // The first word here is field 3 of proc(5), the state.
  const std::vector<absl::string_view> words = absl::StrSplit(text.substr(end_of_name + 1), ' ', absl::SkipEmpty());
  const auto field = [&](std::size_t number, double& value) {
    return number - 3 < words.size() && absl::SimpleAtod(words[number - 3], &value);
  };
  double user = 0;
  double system = 0;
  ProcStat stat;
  if (!field(14, user) || !field(15, system) || !field(22, stat.start_ticks) || !field(23, stat.virtual_bytes) ||
      !field(24, stat.resident_pages)) {
    return std::nullopt;
  }
  stat.cpu_ticks = user + system;
  return stat;
}

void CollectProcessMetrics(MetricSink& out) {
  const std::optional<std::string> text = Slurp("/proc/self/stat");
  const std::optional<ProcStat> stat = text ? ParseProcStat(*text) : std::nullopt;
  if (stat) {
    const double ticks_per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
    out.Counter("process_cpu_seconds_total", "User and system CPU time spent", {}, stat->cpu_ticks / ticks_per_second);
    out.Gauge("process_virtual_memory_bytes", "Virtual memory size", {}, stat->virtual_bytes);
    out.Gauge("process_resident_memory_bytes", "Resident memory size", {},
              stat->resident_pages * static_cast<double>(::sysconf(_SC_PAGESIZE)));
    if (const std::optional<double> boot = BootTime()) {
      out.Gauge("process_start_time_seconds", "Start of the process since the Unix epoch", {},
                *boot + stat->start_ticks / ticks_per_second);
    }
  }
  if (const std::optional<double> fds = OpenFds()) {
    out.Gauge("process_open_fds", "Open file descriptors", {}, *fds);
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    out.Gauge("process_max_fds", "Soft limit of open file descriptors", {}, static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace berth
