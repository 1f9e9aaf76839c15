// SPDX-License-Identifier: Apache-2.0
#include "controller/app.h"

#include <csignal>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/build_info.h"
#include "common/base/heap.h"
#include "common/base/random_bytes.h"
#include "common/base/real_event_loop.h"
#include "common/base/status_macros.h"
#include "common/obs/http_server.h"
#include "common/obs/metrics.h"
#include "common/sync/wire.h"
#include "common/tls/grpc_log.h"
#include "controller/admin/admin_server.h"
#include "controller/admission/core_view.h"
#include "controller/admission/webhook_server.h"
#include "controller/core/runner.h"
#include "controller/files/files_source.h"
#include "controller/kube/client/credentials.h"
#include "controller/kube/uninstall/uninstall.h"
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

absl::StatusOr<std::unique_ptr<push::AgentServer>> MakeAgentServer(EventLoop& loop, const ControllerFlags& flags,
                                                                   const TlsFlags& tls) {
  push::AgentServer::Options options;
  options.listen = flags.agent_listen;
  ASSIGN_OR_RETURN(options.credentials, ServerCredentials(tls, flags.agent_listen, ClientCertificates::kIfCaGiven));
  return std::make_unique<push::AgentServer>(loop, options);
}

// API server, or manifests and state folder ──► source ──► core ──► agents' streams
//                                                            └────► people
class App {
 public:
  App(const ControllerFlags& flags, RealEventLoop& loop) : flags_(flags), loop_(loop), observed_(metrics_) {}
  absl::Status Start();
  void OnSignal();
  void Stop();
  const absl::Status& outcome() const { return outcome_; }

 private:
  absl::Status StartCore();
  absl::Status StartWebhook();
  HttpHandlers Pages();
  void Fail(const absl::Status& status);
  model::ClusterSource& source() {
    if (folder_ != nullptr) return *folder_;
    return kubernetes_->source();
  }

  const ControllerFlags& flags_;
  RealEventLoop& loop_;
  const HeapTrimmer trimmer_{loop_};
  Metrics metrics_;
  ControllerMetrics observed_;
  absl::Status outcome_;
  bool leader_known_ = false;  // somebody has led since we began

  std::unique_ptr<files::FilesSource> folder_;
  std::unique_ptr<Kubernetes> kubernetes_;
  std::unique_ptr<push::AgentServer> agents_;
  std::unique_ptr<push::AgentPort> gate_;
  std::unique_ptr<core::CoreRunner> runner_;
  std::unique_ptr<admin::AdminServer> admin_;
  std::unique_ptr<admission::CoreView> view_;
  std::unique_ptr<admission::WebhookServer> webhook_;
  std::unique_ptr<HttpServer> http_;
};

HttpHandlers App::Pages() {
  HttpHandlers pages;
  pages["/metrics"] = [this](const HttpRequest&) {
    return HttpResponse{200, metrics_.Scrape(), "text/plain; version=0.0.4; charset=utf-8"};
  };
  pages["/healthz"] = [](const HttpRequest&) { return HttpResponse{200, "ok\n"}; };
  pages["/readyz"] = [this](const HttpRequest&) {
    if (runner_ == nullptr) return HttpResponse{503, "not ready: there are no certificates to serve with yet\n"};
    const model::StatusView status = runner_->Status();
    if (!status.synced) return HttpResponse{503, "not ready: the source has not been read yet\n"};
    // An Eip that is applied as soon as we are ready is judged by whoever is asked.
    if (status.leader && kubernetes_ != nullptr && !kubernetes_->published()) {
      return HttpResponse{503, "not ready: the API server has not been told yet whom to trust\n"};
    }
    // Later, a standby is one whether or not somebody leads just now.
    leader_known_ = leader_known_ || status.leader || !status.leader_name.empty();
    if (!leader_known_) return HttpResponse{503, "not ready: nobody leads yet\n"};
    return HttpResponse{200, absl::StrCat("ok\n", status.leader ? "" : "standby\n")};
  };
  return pages;
}

absl::Status App::Start() {
  if (flags_.source_dir.empty()) {
    ASSIGN_OR_RETURN(kubernetes_, Kubernetes::Create(loop_, flags_.kubernetes, flags_.tls, metrics_));
  } else {
    folder_ =
        std::make_unique<files::FilesSource>(loop_, files::FilesSource::Options{flags_.source_dir, flags_.state_dir});
  }
  ASSIGN_OR_RETURN(http_, HttpServer::Listen(loop_, flags_.http_listen, Pages()));
  if (kubernetes_ == nullptr) return StartCore();
  kubernetes_->Start([this] {
    if (const absl::Status started = StartCore(); !started.ok()) Fail(started);
  });
  return absl::OkStatus();
}

absl::Status App::StartCore() {
  const TlsFlags& tls = kubernetes_ != nullptr ? kubernetes_->tls() : flags_.tls;
  ASSIGN_OR_RETURN(agents_, MakeAgentServer(loop_, flags_, tls));
  if (kubernetes_ != nullptr) gate_ = kubernetes_->MakeGate(*agents_);
  core::Options options;
  options.rules = flags_.rules;
  options.heartbeat = flags_.heartbeat;
  options.agent_timeout = flags_.agent_timeout;
  options.make_peer_key = [] { return RandomBytes(sync::kPeerSecretSize); };
  options.absent_endpoints_are_ready = folder_ != nullptr;
  options.record_reasons = kubernetes_ != nullptr;
  push::AgentPort& port = gate_ != nullptr ? *gate_ : static_cast<push::AgentPort&>(*agents_);
  runner_ = std::make_unique<core::CoreRunner>(
      options, source(), port, loop_,
      core::CoreRunner::Sinks{WriteLog, [this](const core::Observe& o) { observed_.Count(o); }});
  observed_.Collect(*runner_);

  admin::AdminServer::Options admin;
  admin.listen = flags_.admin_listen;
  ASSIGN_OR_RETURN(admin.credentials,
                   ServerCredentials(flags_.tls, flags_.admin_listen, ClientCertificates::kRequired));
  admin_ = std::make_unique<admin::AdminServer>(loop_, *runner_, admin);
  RETURN_IF_ERROR(admin_->Start());
  if (kubernetes_ != nullptr && flags_.kubernetes.webhook) RETURN_IF_ERROR(StartWebhook());
  RETURN_IF_ERROR(runner_->Start());
  LogInfo("controller started",
          {{"version", BuildVersion()},
           {"source", folder_ != nullptr ? absl::StrCat("files:", flags_.source_dir) : "kubernetes"},
           {"agents", agents_->port()},
           {"admin", admin_->port()}});
  return absl::OkStatus();
}

absl::Status App::StartWebhook() {
  const TlsFlags& tls = kubernetes_->tls();
  if (tls.cert.empty()) {
    LogInfo("no certificate to serve the admission webhook with: it is off");
    return absl::OkStatus();
  }
  view_ = std::make_unique<admission::CoreView>(runner_->core(), kube::FirstFamilyOfPod());
  admission::WebhookServer::Options options;
  options.listen = flags_.webhook_listen;
  options.cert_file = tls.cert;
  options.key_file = tls.key;
  const CounterFamily requests = metrics_.Counters("berth_webhook_requests_total",
                                                   "What the admission webhook was asked", {"operation", "allowed"});
  webhook_ = std::make_unique<admission::WebhookServer>(loop_, *view_, options,
                                                        [requests](const std::string& operation, bool allowed) {
                                                          requests.With({operation, allowed ? "true" : "false"}).Inc();
                                                        });
  return Annotate(webhook_->Start(), "--webhook-listen");
}

void App::Fail(const absl::Status& status) {
  outcome_ = status;
  loop_.Stop();
}

void App::OnSignal() {
  if (kubernetes_ == nullptr || runner_ == nullptr) return loop_.Stop();
  kubernetes_->source().Resign([this] { loop_.Stop(); });
}

void App::Stop() {
  if (webhook_ != nullptr) webhook_->Shutdown();
  if (admin_ != nullptr) admin_->Shutdown();
  if (runner_ != nullptr) runner_->Stop();
}

// The loop with the logs and signals that every way to run has.
absl::StatusOr<std::unique_ptr<RealEventLoop>> Begin(const ControllerFlags& flags) {
  LogInit(flags.log_level, flags.log_format);
  RouteGrpcLog();
  return RealEventLoop::Create();
}

}  // namespace

absl::Status RunController(const ControllerFlags& flags) {
  ASSIGN_OR_RETURN(auto loop, Begin(flags));
  App app(flags, *loop);
  RETURN_IF_ERROR(loop->WatchSignals({SIGTERM, SIGINT}, [&](int signal) {
    LogInfo("ending", {{"signal", signal}});
    app.OnSignal();
  }));
  RETURN_IF_ERROR(app.Start());
  loop->Run();
  app.Stop();
  LogInfo("controller ended");
  return app.outcome();
}

absl::Status RunUninstall(const ControllerFlags& flags) {
  ASSIGN_OR_RETURN(auto loop, Begin(flags));
  Metrics metrics;
  ASSIGN_OR_RETURN(auto kubernetes, Kubernetes::Create(*loop, flags.kubernetes, flags.tls, metrics));
  std::unique_ptr<push::AgentServer> agents;
  std::unique_ptr<push::AgentPort> gate;
  std::unique_ptr<kube::Uninstall> uninstall;
  absl::Status outcome = absl::CancelledError("ended before it was done");
  const auto end = [&](const absl::Status& status) {
    outcome = status;
    loop->Stop();
  };
  RETURN_IF_ERROR(loop->WatchSignals({SIGTERM, SIGINT}, [&](int) {
    if (uninstall == nullptr) return loop->Stop();
    uninstall->GiveUp();
  }));
  kubernetes->Start([&] {
    auto server = MakeAgentServer(*loop, flags, kubernetes->tls());
    if (!server.ok()) return end(server.status());
    agents = *std::move(server);
    gate = kubernetes->MakeGate(*agents);
    kube::UninstallOptions options;
    options.ns = flags.kubernetes.ns;
    options.identity = kubernetes->identity();
    options.keep_addresses = flags.uninstall == "keep";
    options.limit = flags.uninstall_timeout;
    push::AgentPort& port = gate != nullptr ? *gate : static_cast<push::AgentPort&>(*agents);
    uninstall = std::make_unique<kube::Uninstall>(*loop, kubernetes->client(), port, options, end);
    if (const absl::Status started = uninstall->Start(); !started.ok()) end(started);
  });
  loop->Run();
  if (gate != nullptr) gate->Shutdown();
  if (agents != nullptr) agents->Shutdown();
  return outcome;
}

}  // namespace berth
