// SPDX-License-Identifier: Apache-2.0
#include "agent/app.h"

#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/core/runner.h"
#include "agent/desired/file_store.h"
#include "agent/effect/kernel/linux_kernel.h"
#include "agent/effect/l2/pcap_frame_port.h"
#include "agent/health/proc_node_reader.h"
#include "agent/link/controller_link.h"
#include "agent/peer/udp_peer_port.h"
#include "common/base/atomic_file.h"
#include "common/base/build_info.h"
#include "common/base/heap.h"
#include "common/base/random_bytes.h"
#include "common/base/real_event_loop.h"
#include "common/base/status_macros.h"
#include "common/obs/http_server.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "common/obs/standard_pages.h"

namespace berth::agent {
namespace {

// kubelet starts anew what has ended, and the youngest agent of a node wins: the old one of an upgrade would come back
// and take the node from the new one, until its pod is deleted. So it waits for that, silent, if not for ever.
constexpr absl::Duration kWaitAfterSuccessor = absl::Seconds(30);

constexpr char kBootIdFile[] = "/proc/sys/kernel/random/boot_id";
constexpr char kUuidFile[] = "/proc/sys/kernel/random/uuid";  // another one at each read

absl::StatusOr<std::string> ReadLine(const std::string& path) {
  ASSIGN_OR_RETURN(std::optional<std::string> text, ReadFile(path));
  if (!text.has_value()) return absl::NotFoundError(absl::StrCat(path, " does not exist, is /proc mounted?"));
  return std::string(absl::StripAsciiWhitespace(*text));
}

std::int64_t BootTimeNs() {
  timespec t{};
  clock_gettime(CLOCK_BOOTTIME, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// gRPC, captures and probes each take descriptors; the usual soft limit is small for no reason.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);  // the old limit will do
}

absl::StatusOr<AgentConfig> MakeConfig(const AppOptions& options) {
  AgentConfig config;
  config.node = options.node_name;
  ASSIGN_OR_RETURN(config.boot_id, ReadLine(kBootIdFile));
  ASSIGN_OR_RETURN(config.instance_id, ReadLine(kUuidFile));
  config.started_ns = BootTimeNs();
  config.version = std::string(BuildVersion());
  config.vip_interface = options.vip_interface;
  config.layer2 = options.layer2;
  if (options.peer_listen.has_value()) config.probe_endpoint = options.peer_listen->ToString();
  const std::string process = RandomBytes(sizeof config.peer_process);
  std::memcpy(&config.peer_process, process.data(), process.size());
  config.peer_seed = RandomBytes(32);
  return config;
}

// What the program consists of while it runs. Members are destroyed in reverse order: the runner before what it uses.
class App {
 public:
  App(const AppOptions& options, AgentConfig config, RealEventLoop& loop)
      : options_(options),
        config_(std::move(config)),
        loop_(loop),
        trimmer_(loop),
        kernel_(loop),
        frames_(loop),
        disk_(loop, options.state_dir) {
    if (options.peer_listen.has_value()) peers_ = std::make_unique<UdpPeerPort>(loop, *options.peer_listen);
  }
  ~App() {
    if (retry_ != 0) loop_.Cancel(retry_);
    if (http_retry_ != 0) loop_.Cancel(http_retry_);
    if (end_ != 0) loop_.Cancel(end_);
  }
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  absl::Status Start();
  int exit_code() const { return exit_code_; }

 private:
  absl::Status ListenHttp();
  void RetryHttp();
  absl::Status StartAgent();
  void StartAgentOrRetry();
  void End(int code);
  void OnSignal();
  std::vector<std::string> Unready() const;
  void CollectPeers(const AgentStatus& status, MetricSink& out) const;
  void Collect(MetricSink& out) const;

  const AppOptions options_;
  const AgentConfig config_;
  RealEventLoop& loop_;
  HeapTrimmer trimmer_;
  Metrics metrics_;
  LinuxKernel kernel_;
  PcapFramePort frames_;
  FileStore disk_;
  ProcNodeReader node_;
  std::unique_ptr<UdpPeerPort> peers_;  // null without --peer-listen
  std::unique_ptr<ControllerLink> link_;
  std::unique_ptr<AgentRunner> runner_;
  std::unique_ptr<HttpServer> http_;
  absl::Status waiting_for_;  // why the agent has not been started yet
  TimerId retry_ = 0, http_retry_ = 0, end_ = 0;
  int exit_code_ = 0;
  bool signalled_ = false, cleaned_ = false;
};

absl::Status App::Start() {
  RETURN_IF_ERROR(loop_.WatchSignals({SIGTERM, SIGINT}, [this](int) { OnSignal(); }));
  metrics_.AddCollector([this](MetricSink& out) { Collect(out); });
  const absl::Status listening = ListenHttp();
  if (absl::IsAlreadyExists(listening)) {
    LogWarn("pages have to wait, perhaps for an older agent of this node to end", {{"error", listening}});
    RetryHttp();
  } else if (!listening.ok()) {
    return listening;
  }
  const absl::Status started = StartAgent();
  if (absl::IsNotFound(started) || absl::IsPermissionDenied(started)) {
    StartAgentOrRetry();
    return absl::OkStatus();
  }
  return started;
}

absl::Status App::ListenHttp() {
  absl::StatusOr<std::unique_ptr<HttpServer>> http = HttpServer::Listen(
      loop_, options_.http_listen,
      StandardPages(metrics_, [] { return std::vector<std::string>{}; }, [this] { return Unready(); }));
  if (!http.ok()) return Annotate(http.status(), "--http-listen");
  http_ = *std::move(http);
  return absl::OkStatus();
}

// An upgrade starts the new agent of a node beside the old one, on the one network that both have. Announcing does not
// wait for pages, and whoever asks for these is answered by the old agent meanwhile.
void App::RetryHttp() {
  http_retry_ = loop_.RunAfter(absl::Seconds(1), [this] {
    http_retry_ = 0;
    if (!ListenHttp().ok()) RetryHttp();
  });
}

absl::Status App::StartAgent() {
  ControllerLink::Options link{.endpoints = options_.controllers,
                               .credentials = nullptr,
                               .channel_arguments = {},
                               .token_file = options_.token_file};
  link.jitter_seed = std::hash<std::string>{}(config_.instance_id);
  ASSIGN_OR_RETURN(link.credentials,
                   ChannelCredentials(options_.tls, options_.controllers, kControllerTlsName, link.channel_arguments));
  link_ = std::make_unique<ControllerLink>(loop_, std::move(link));
  runner_ = std::make_unique<AgentRunner>(config_,
                                          AgentSeams{.loop = loop_,
                                                     .kernel = kernel_,
                                                     .frames = frames_,
                                                     .controller = *link_,
                                                     .disk = disk_,
                                                     .peers = peers_.get(),
                                                     .node = &node_},
                                          [this](int code) { End(code); });
  // From here on an error is final: the seams are started once.
  if (absl::Status s = runner_->Start(); !s.ok()) {
    return absl::FailedPreconditionError(absl::StrCat("the agent cannot start: ", s.message()));
  }
  return absl::OkStatus();
}

// Certificates may be mounted after the agent was started: the controller writes them on its own first start.
void App::StartAgentOrRetry() {
  retry_ = 0;
  const absl::Status status = StartAgent();
  if (status.ok()) {
    waiting_for_ = status;
    return;
  }
  if (!absl::IsNotFound(status) && !absl::IsPermissionDenied(status)) {
    LogError("cannot go on", {{"error", status}});
    End(kExitFailed);
    return;
  }
  if (status != waiting_for_) LogWarn("waiting for credentials", {{"missing", status}});
  waiting_for_ = status;
  retry_ = loop_.RunAfter(absl::Seconds(1), [this] { StartAgentOrRetry(); });
}

void App::End(int code) {
  exit_code_ = code;
  disk_.Release();
  if (code == 0 && !signalled_) {
    // Told to clean up: whoever started this process would start another one, which would begin anew.
    cleaned_ = true;
    LogInfo("this node is clean; doing nothing until ended");
    return;
  }
  if (code != kExitSuperseded || signalled_) {
    loop_.Stop();
    return;
  }
  http_.reset();  // the successor waits for its port
  if (http_retry_ != 0) loop_.Cancel(std::exchange(http_retry_, 0));
  end_ = loop_.RunAfter(kWaitAfterSuccessor, [this] {
    end_ = 0;
    loop_.Stop();
  });
}

void App::OnSignal() {
  signalled_ = true;
  if (end_ != 0) {
    loop_.Stop();
    return;
  }
  if (runner_ == nullptr || cleaned_) {
    End(0);
    return;
  }
  runner_->Terminate();
}

std::vector<std::string> App::Unready() const {
  if (runner_ != nullptr) return runner_->core().status().unready;
  return {absl::StrCat("waiting for credentials: ", waiting_for_.ToString())};
}

void App::CollectPeers(const AgentStatus& status, MetricSink& out) const {
  out.Gauge("berth_agent_standby_addresses", "Addresses of other nodes that this agent would take over", {},
            static_cast<double>(status.standbys));
  out.Gauge("berth_agent_peers", "Other agents probed, by interface", {{"state", "heard"}},
            static_cast<double>(status.peers.heard));
  out.Gauge("berth_agent_peers", "Other agents probed, by interface", {{"state", "silent"}},
            static_cast<double>(status.peers.silent));
  out.Counter("berth_agent_peer_probes_total", "Questions sent to other agents", {},
              static_cast<double>(status.peers.probes));
  out.Counter("berth_agent_peer_answers_total", "Answers of other agents to them", {},
              static_cast<double>(status.peers.answers));
  out.Counter("berth_agent_peer_refused_total", "Packets of other agents that were not authentic, or too many", {},
              static_cast<double>(status.peers.refused));
  out.Counter("berth_agent_take_overs_total", "Addresses taken over while no leader was heard", {},
              static_cast<double>(runner_->take_overs()));
}

void App::Collect(MetricSink& out) const {
  if (runner_ == nullptr) return;
  const AgentStatus status = runner_->core().status();
  out.Gauge("berth_agent_announced_addresses", "Addresses this agent answers for", {{"protocol", "layer2"}},
            static_cast<double>(status.announced));
  out.Gauge("berth_agent_controller_connected", "1 while a stream to a controller is established", {},
            status.link_up ? 1 : 0);
  out.Counter("berth_agent_conflicts_total", "Claims of announced addresses by machines that are no candidates", {},
              static_cast<double>(runner_->conflicts()));
  out.Counter("berth_agent_drift_repairs_total", "Times that something Berth had set was put right again", {},
              static_cast<double>(runner_->drift_repairs()));
  CollectPeers(status, out);
  for (const PortStats& s : frames_.Stats()) {
    const MetricSink::Labels labels = {{"interface", s.interface}};
    out.Counter("berth_agent_arp_requests_total", "Well-formed ARP requests that passed the kernel's filter", labels,
                static_cast<double>(s.arp.requests));
    out.Counter("berth_agent_arp_replies_total", "ARP answers sent", labels, static_cast<double>(s.arp.replies));
    out.Counter("berth_agent_ndp_requests_total", "Well-formed neighbour solicitations that passed the kernel's filter",
                labels, static_cast<double>(s.ndp.requests));
    out.Counter("berth_agent_ndp_replies_total", "Neighbour advertisements sent as answers", labels,
                static_cast<double>(s.ndp.replies));
    out.Counter("berth_agent_arp_limited_total", "ARP requests left unanswered because their sender asks too often",
                labels, static_cast<double>(s.arp.limited));
    out.Counter("berth_agent_ndp_limited_total", "Solicitations left unanswered because their sender asks too often",
                labels, static_cast<double>(s.ndp.limited));
    out.Counter("berth_agent_stale_requests_total", "Requests left unanswered because they had waited for too long",
                labels, static_cast<double>(s.stale));
    out.Counter("berth_agent_malformed_frames_total",
                "Frames that are no ARP and no neighbour discovery as they must be", labels,
                static_cast<double>(s.malformed));
    out.Counter("berth_agent_send_errors_total", "Frames that the kernel refused to send", labels,
                static_cast<double>(s.send_errors));
    out.Counter("berth_agent_gratuitous_total", "Gratuitous frames sent", labels, static_cast<double>(s.gratuitous));
    out.Counter("berth_agent_capture_dropped_total", "Frames the kernel dropped before they were read", labels,
                static_cast<double>(s.dropped));
    out.Histogram("berth_agent_arp_reply_seconds", "From a request's capture to its answer sent", labels,
                  s.arp.reply_seconds, s.arp.reply_seconds_sum);
    out.Histogram("berth_agent_ndp_reply_seconds", "From a solicitation's capture to its answer sent", labels,
                  s.ndp.reply_seconds, s.ndp.reply_seconds_sum);
  }
}

}  // namespace

int RunAgent(const AppOptions& options) {
  RaiseDescriptorLimit();
  absl::StatusOr<AgentConfig> config = MakeConfig(options);
  absl::StatusOr<std::unique_ptr<RealEventLoop>> loop = RealEventLoop::Create();
  const absl::Status made = config.ok() ? loop.status() : config.status();
  if (!made.ok()) {
    LogError("the agent cannot start", {{"error", made}});
    return kExitFailed;
  }
  LogInfo("berth-agent starts",
          {{"version", BuildVersion()}, {"node", config->node}, {"instance", config->instance_id}});
  App app(options, *std::move(config), **loop);
  if (const absl::Status started = app.Start(); !started.ok()) {
    LogError("the agent cannot start", {{"error", started}});
    return kExitFailed;
  }
  (*loop)->Run();
  LogInfo("berth-agent ends", {{"code", app.exit_code()}});
  return app.exit_code();
}

int RunCleanup(const AppOptions& options) {
  absl::StatusOr<std::unique_ptr<RealEventLoop>> loop = RealEventLoop::Create();
  absl::Status done = loop.status();
  if (done.ok()) {
    LinuxKernel kernel(**loop);
    FileStore disk(**loop, options.state_dir);
    done = kernel.RemoveEverything();
    if (const absl::Status removed = disk.Remove(); done.ok()) done = removed;
  }
  if (!done.ok()) {
    LogError("not everything could be taken off this node", {{"error", done}});
    return kExitFailed;
  }
  LogInfo("everything Berth set on this node is taken away");
  return 0;
}

}  // namespace berth::agent
