// SPDX-License-Identifier: Apache-2.0
#include "controller/app.h"

#include <csignal>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/build_info.h"
#include "common/base/heap.h"
#include "common/base/real_event_loop.h"
#include "common/base/status_macros.h"
#include "common/obs/http_server.h"
#include "common/obs/metrics.h"
#include "common/tls/grpc_log.h"
#include "controller/admin/admin_server.h"
#include "controller/core/runner.h"
#include "controller/files/files_source.h"
#include "controller/metrics.h"
#include "controller/push/agent_server.h"

namespace berth {
namespace {

LogLevel LevelOf(core::LogLine::Level level) {
  switch (level) {
    case core::LogLine::Level::kDebug:
      return LogLevel::kDebug;
    case core::LogLine::Level::kInfo:
      return LogLevel::kInfo;
    case core::LogLine::Level::kWarn:
      return LogLevel::kWarn;
    case core::LogLine::Level::kError:
      return LogLevel::kError;
  }
  return LogLevel::kInfo;
}

void WriteLog(const core::LogLine& line) {
  const LogLevel level = LevelOf(line.level);
  if (!LogEnabled(level)) return;
  std::vector<LogField> fields;
  fields.reserve(line.fields.size());
  for (const auto& [key, value] : line.fields) fields.emplace_back(key, value);
  Log(level, line.sentence, LogFields(fields));
}

HttpHandlers Pages(const core::CoreRunner& runner, const Metrics& metrics) {
  HttpHandlers pages;
  pages["/metrics"] = [&metrics](const HttpRequest&) {
    return HttpResponse{200, metrics.Scrape(), "text/plain; version=0.0.4; charset=utf-8"};
  };
  pages["/healthz"] = [](const HttpRequest&) { return HttpResponse{200, "ok\n"}; };
  pages["/readyz"] = [&runner](const HttpRequest&) {
    const model::StatusView status = runner.Status();
    if (!status.synced) return HttpResponse{503, "not ready: the source has not been read yet\n"};
    return HttpResponse{200, absl::StrCat("ok\n", status.leader ? "" : "standby\n")};
  };
  return pages;
}

}  // namespace

absl::Status RunController(const ControllerFlags& flags) {
  LogInit(flags.log_level, flags.log_format);
  RouteGrpcLog();
  ASSIGN_OR_RETURN(auto agent_credentials,
                   ServerCredentials(flags.tls, flags.agent_listen, ClientCertificates::kIfCaGiven));
  ASSIGN_OR_RETURN(auto admin_credentials,
                   ServerCredentials(flags.tls, flags.admin_listen, ClientCertificates::kRequired));
  ASSIGN_OR_RETURN(auto loop, RealEventLoop::Create());
  const HeapTrimmer trimmer(*loop);
  Metrics metrics;
  ControllerMetrics observed(metrics);

  // API server, or manifests and state folder ──► source ──► core ──► agents' streams
  std::unique_ptr<files::FilesSource> folder;
  std::unique_ptr<Kubernetes> kubernetes;
  if (flags.source_dir.empty()) {
    ASSIGN_OR_RETURN(kubernetes, Kubernetes::Create(*loop, flags.kubernetes, metrics));
  } else {
    folder =
        std::make_unique<files::FilesSource>(*loop, files::FilesSource::Options{flags.source_dir, flags.state_dir});
  }
  model::ClusterSource& source = folder != nullptr ? static_cast<model::ClusterSource&>(*folder) : kubernetes->source();
  push::AgentServer::Options agent_options;
  agent_options.listen = flags.agent_listen;
  agent_options.credentials = agent_credentials;
  push::AgentServer agents(*loop, agent_options);
  core::Options options;
  options.rules = flags.rules;
  options.heartbeat = flags.heartbeat;
  options.agent_timeout = flags.agent_timeout;
  options.absent_endpoints_are_ready = folder != nullptr;
  options.record_reasons = kubernetes != nullptr;
  core::CoreRunner runner(options, source, agents, *loop,
                          {WriteLog, [&observed](const core::Observe& o) { observed.Count(o); }});
  observed.Collect(runner);

  // core ──► people
  admin::AdminServer::Options admin_options;
  admin_options.listen = flags.admin_listen;
  admin_options.credentials = admin_credentials;
  admin::AdminServer admin(*loop, runner, admin_options);
  ASSIGN_OR_RETURN(auto http, HttpServer::Listen(*loop, flags.http_listen, Pages(runner, metrics)));
  RETURN_IF_ERROR(loop->WatchSignals({SIGTERM, SIGINT}, [&](int signal) {
    LogInfo("ending", {{"signal", signal}});
    if (kubernetes == nullptr) return loop->Stop();
    kubernetes->source().Resign([&loop] { loop->Stop(); });
  }));
  RETURN_IF_ERROR(admin.Start());
  RETURN_IF_ERROR(runner.Start());
  LogInfo("controller started",
          {{"version", BuildVersion()},
           {"source", folder != nullptr ? absl::StrCat("files:", flags.source_dir) : "kubernetes"},
           {"agents", agents.port()},
           {"admin", admin.port()}});
  loop->Run();
  admin.Shutdown();
  runner.Stop();
  LogInfo("controller ended");
  return absl::OkStatus();
}

}  // namespace berth
