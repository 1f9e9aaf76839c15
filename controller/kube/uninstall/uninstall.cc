// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/uninstall/uninstall.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/obs/log.h"
#include "controller/kube/client/url.h"
#include "controller/kube/objects/finalizers.h"
#include "controller/kube/objects/pool_object.h"
#include "controller/kube/objects/read_field.h"
#include "controller/kube/objects/service_object.h"

namespace berth::kube {
namespace {

using nlohmann::json;

// Until the next pass. Who led until now hears of its end at its next look at the Lease, and puts things back
// meanwhile: no race with it, to which the API server would be the ground.
constexpr absl::Duration kAgain = absl::Seconds(1);
// The agents' time passes in steps of this: a process that stood still for long takes one of them from the agents,
// which stood still, too, if it was the machine.
constexpr absl::Duration kStep = absl::Seconds(1);

LeaseOptions LeaseOf(const UninstallOptions& options) {
  LeaseOptions lease;
  lease.ns = options.ns;
  lease.identity = options.identity;
  lease.uninstall = options.identity;
  lease.elect = false;
  return lease;
}

// An admission webhook with side effects is not asked, and so the API server refuses in its name.
bool NeverRehearses(const absl::Status& status) {
  return absl::IsInvalidArgument(status) && absl::StrContains(status.message(), "does not support dry run");
}

}  // namespace

Uninstall::Uninstall(EventLoop& loop, ApiClient& client, push::AgentPort& agents, UninstallOptions options,
                     std::function<void(const absl::Status&)> done)
    : loop_(loop),
      client_(client),
      agents_(agents),
      options_(std::move(options)),
      done_(std::move(done)),
      no_writes_(client, [] { return WriteWindow{absl::InfinitePast(), absl::InfinitePast()}; }),
      memory_(loop, client, no_writes_, options_.ns),
      election_(
          loop, client, LeaseOf(options_), [this](const LeaseElection::Leadership& now) { OnLeadership(now); },
          [this](const absl::Status& status) {
            if (!status.ok()) problem_ = std::string(status.message());
          }) {}

Uninstall::~Uninstall() {
  for (const TimerId timer : {agents_timer_, again_timer_, limit_timer_}) loop_.Cancel(timer);
}

absl::Status Uninstall::Start() {
  if (absl::Status started = agents_.Start(*this); !started.ok()) return started;
  began_ = loop_.Now();
  // The objects leave the agents their time.
  LimitAt(began_ + options_.limit - AgentsLimit());
  Again();
  return absl::OkStatus();
}

absl::Duration Uninstall::AgentsLimit() const { return options_.limit / 3; }

void Uninstall::LimitAt(absl::Time at) {
  loop_.Cancel(limit_timer_);
  limit_timer_ = loop_.RunAt(at, [this] {
    Done(absl::DeadlineExceededError(
        absl::StrCat("not done within ", absl::FormatDuration(loop_.Now() - began_), Why())));
  });
}

void Uninstall::GiveUp() { Done(absl::CancelledError(absl::StrCat("told to end before it was done", Why()))); }

std::string Uninstall::Why() const { return problem_.empty() ? "" : absl::StrCat(": ", problem_); }

void Uninstall::OnLeadership(const LeaseElection::Leadership& now) {
  if (finished_ || leading_ == now.leader) return;
  leading_ = now.leader;
  if (!leading_) return;
  LogInfo("uninstalling: no controller decides anything any more", {{"term", now.term}});
  // Also when it had been lost: whoever led meanwhile may have put things back.
  phase_ = Phase::kObjects;
  if (running_ == 0) Again();
}

// ---- agents

void Uninstall::BeginNodes() {
  phase_ = Phase::kNodes;
  LimitAt(began_ + options_.limit);
  loop_.Cancel(std::exchange(agents_timer_, 0));
  clean_.clear();
  memory_.Load([this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired() || phase_ != Phase::kNodes || finished_) return;
    for (const auto& agent : memory_.known()) awaited_.insert(agent.node);
    for (const auto& [stream, node] : nodes_) {
      if (!node.empty()) agents_.Send(stream, sync::Cleanup{election_.now().term});
    }
    AwaitAgents(AgentsLimit());
    CheckAgents();
  });
}

void Uninstall::AwaitAgents(absl::Duration left) {
  // Nodes that do not answer are no failure, so what is left to do after them gets its time.
  left = std::min(left, began_ + options_.limit * 0.95 - loop_.Now());
  if (left <= absl::ZeroDuration()) return AgentsDone();
  agents_timer_ = loop_.RunAfter(std::min(left, kStep), [this, left] { AwaitAgents(left - kStep); });
}

void Uninstall::OnStreamOpened(push::StreamId stream, const push::StreamPeer&) { nodes_[stream]; }

void Uninstall::OnAgentMessage(push::StreamId stream, sync::AgentMessage message) {
  if (const auto* hello = std::get_if<sync::Hello>(&message)) {
    nodes_[stream] = hello->node;
    if (clean_.count(hello->node) == 0) awaited_.insert(hello->node);
    if (CleansNodes()) {
      agents_.Send(stream, sync::Cleanup{election_.now().term});
    } else {
      agents_.Send(stream, sync::NotLeader{election_.now().term, ""});  // it goes on as it is, or to who leads
    }
    return;
  }
  const auto* report = std::get_if<sync::Report>(&message);
  if (report == nullptr || !report->cleaned) return;
  const std::string& node = nodes_[stream];
  if (!CleansNodes()) return;
  if (clean_.insert(node).second) LogInfo("the node is clean", {{"node", node}});
  CheckAgents();
}

void Uninstall::OnStreamClosed(push::StreamId stream, const std::string&) { nodes_.erase(stream); }

void Uninstall::CheckAgents() {
  if (phase_ != Phase::kNodes || agents_timer_ == 0) return;
  for (const std::string& node : awaited_) {
    if (clean_.count(node) == 0) return;
  }
  AgentsDone();
}

void Uninstall::AgentsDone() {
  loop_.Cancel(std::exchange(agents_timer_, 0));
  if (phase_ != Phase::kNodes) return;
  std::set<std::string> missing;
  for (const std::string& node : awaited_) {
    if (clean_.count(node) == 0) missing.insert(node);
  }
  if (!missing.empty()) {
    LogWarn("nodes that are not said to be clean: they may keep what was set there; run berth-agent --cleanup on them",
            {{"nodes", absl::StrJoin(missing, ", ")}});
  }
  phase_ = Phase::kRest;
  Again();
}

// ---- objects: pass by pass, until one finds nothing of ours

void Uninstall::Again() {
  static const Kind kKinds[] = {{"services", "/api/v1/services", nullptr},
                                {"eips", "/apis/network.kubesphere.io/v1alpha2/eips", kPoolFinalizer},
                                {"bgpconfs", "/apis/network.kubesphere.io/v1alpha2/bgpconfs", kLbFinalizer},
                                {"bgppeers", "/apis/network.kubesphere.io/v1alpha2/bgppeers", kLbFinalizer}};
  loop_.Cancel(std::exchange(again_timer_, 0));
  if (phase_ != Phase::kRehearsal && !leading_) return;  // until we do
  cleaned_ = 0;
  failed_ = false;
  for (const Kind& kind : kKinds) List(kind, "");
}

void Uninstall::List(const Kind& kind, const std::string& token) {
  ++running_;
  ApiRequest request;
  request.verb = "list";
  request.resource = kind.resource;
  request.path = absl::StrCat(kind.path, "?limit=500", token.empty() ? "" : "&continue=", EscapeQuery(token));
  client_.Do(std::move(request),
             [this, &kind, alive = std::weak_ptr<bool>(alive_)](const absl::StatusOr<ApiResponse>& response) {
               if (!alive.expired()) OnPage(kind, response);
             });
}

void Uninstall::OnPage(const Kind& kind, const absl::StatusOr<ApiResponse>& response) {
  if (absl::IsNotFound(response.status())) return Ended(kind, "", absl::OkStatus());  // no CRD, no objects
  if (!response.ok()) return Ended(kind, "", response.status());
  const json page = json::parse(response->body, nullptr, /*allow_exceptions=*/false);
  for (const json& object : ListAt(page, "items")) Clean(kind, object);
  const std::string next = StringAt(MapAt(page, "metadata"), "continue");
  if (!next.empty()) List(kind, next);
  Ended(kind, "", absl::OkStatus());
}

void Uninstall::Clean(const Kind& kind, const json& object) {
  ApiRequest request;
  const model::ObjectId id = IdOf(object);
  if (kind.finalizer == nullptr) {
    const ServiceObject service = ReadServiceMetadata(object);
    if (!service.service.touched()) return;
    request.body = ForgetPatch(service, options_.keep_addresses);
    request.path = absl::StrCat("/api/v1/namespaces/", id.ns, "/services/", id.name, "/status");
  } else {
    const Finalizers finalizers = FinalizersOf(object, kind.finalizer);
    if (!finalizers.ours) return;
    const std::string revision = StringAt(MapAt(object, "metadata"), "resourceVersion");
    request.body = FinalizerPatch(revision, finalizers.others, kind.finalizer, /*keep=*/false);
    request.path = absl::StrCat(kind.path, "/", id.name);
  }
  ++running_;
  ++cleaned_;
  if (phase_ == Phase::kRehearsal) request.path += "?dryRun=All";
  request.verb = "patch";
  request.resource = kind.resource;
  request.method = Method::kPatch;
  request.content_type = kMergePatch;
  request.urgency = Urgency::kWrite;
  client_.Do(std::move(request),
             [this, &kind, id, alive = std::weak_ptr<bool>(alive_)](const absl::StatusOr<ApiResponse>& response) {
               if (!alive.expired()) Ended(kind, id.ToString(), response.status());
             });
}

void Uninstall::Ended(const Kind& kind, const std::string& name, const absl::Status& status) {
  --running_;
  if (!status.ok() && !absl::IsNotFound(status) && !absl::IsAborted(status) && !NeverRehearses(status)) {
    failed_ = true;
    problem_ = absl::StrCat(kind.resource, name.empty() ? "" : " ", name, ": ", status.message());
  }
  if (running_ > 0 || finished_) return;
  const bool rehearsed = phase_ == Phase::kRehearsal;
  if (failed_ || (cleaned_ > 0 && !rehearsed)) {
    again_timer_ = loop_.RunAfter(kAgain, [this] { Again(); });
  } else if (rehearsed) {
    phase_ = Phase::kObjects;
    problem_.clear();
    election_.Start();
  } else if (phase_ == Phase::kObjects) {
    BeginNodes();
  } else {
    Finish();
  }
}

void Uninstall::Finish() {
  LogInfo("nothing of Berth's is left on nodes and objects");
  Done(absl::OkStatus());
}

void Uninstall::Done(const absl::Status& status) {
  if (std::exchange(finished_, true)) return;
  for (TimerId* timer : {&agents_timer_, &again_timer_, &limit_timer_}) loop_.Cancel(std::exchange(*timer, 0));
  auto end = [this, status, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) done_(status);
  };
  // Whoever is installed next need not wait for the Lease; nor who goes on serving when this has failed.
  if (status.ok()) return election_.Release(std::move(end));
  LogWarn("the uninstallation has failed, the controllers go on", {{"why", std::string(status.message())}});
  election_.Abandon(std::move(end));
}

}  // namespace berth::kube
