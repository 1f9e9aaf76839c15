// SPDX-License-Identifier: Apache-2.0
#include "common/tls/grpc_log.h"

#include <grpc/support/log.h>

#include "absl/strings/string_view.h"
#include "common/obs/log.h"

namespace berth {
namespace {

void ToOurLog(gpr_log_func_args* args) {
  const LogLevel level = args->severity == GPR_LOG_SEVERITY_ERROR ? LogLevel::kWarn : LogLevel::kDebug;
  absl::string_view file = args->file;
  file.remove_prefix(file.rfind('/') + 1);  // npos + 1 is 0
  Log(level, "grpc says", {{"text", args->message}, {"file", file}, {"line", args->line}});
}

}  // namespace

void RouteGrpcLog() {
  gpr_set_log_function(ToOurLog);
  gpr_set_log_verbosity(LogEnabled(LogLevel::kDebug) ? GPR_LOG_SEVERITY_INFO : GPR_LOG_SEVERITY_ERROR);
}

}  // namespace berth
