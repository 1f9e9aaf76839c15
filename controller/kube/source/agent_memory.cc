// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/source/agent_memory.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr char kName[] = "berth-agents";
constexpr char kKey[] = "agents.json";
constexpr absl::Duration kWait = absl::Seconds(1);
constexpr absl::Duration kInterval = absl::Seconds(1);

}  // namespace

std::string EncodeAgents(const KnownAgents& agents) {
  json out = json::object();
  for (const auto& agent : agents) {
    json macs = json::array();
    for (const MacAddr& mac : agent.macs) macs.push_back(mac.ToString());
    out[agent.node] = agent.drained ? json{{"macs", std::move(macs)}, {"drained", true}} : std::move(macs);
  }
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

KnownAgents DecodeAgents(const std::string& text) {
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  KnownAgents agents;
  if (!root.is_object()) return agents;
  for (const auto& [node, macs] : root.items()) {
    model::ClusterSource::KnownAgent agent;
    agent.node = node;
    agent.drained = BoolAt(macs, "drained");
    for (const json& mac : macs.is_object() ? ListAt(macs, "macs") : ListAt(root, node.c_str())) {
      const absl::StatusOr<MacAddr> parsed = MacAddr::Parse(mac.is_string() ? mac.get<std::string>() : "");
      if (parsed.ok()) agent.macs.push_back(*parsed);
    }
    agents.push_back(std::move(agent));
  }
  return agents;
}

AgentMemory::AgentMemory(EventLoop& loop, ApiClient& client, Writes& writes, std::string ns,
                         std::function<void(const absl::Status&)> on_problem)
    : loop_(loop), client_(client), writes_(writes), ns_(std::move(ns)), on_problem_(std::move(on_problem)) {}

AgentMemory::~AgentMemory() {
  client_.Cancel(load_);
  for (const TimerId timer : {load_timer_, again_timer_, write_timer_}) loop_.Cancel(timer);
}

void AgentMemory::Load(std::function<void()> done, std::function<void()> on_late) {
  done_ = std::move(done);
  on_late_ = std::move(on_late);
  read_ = false;
  loop_.Cancel(load_timer_);
  load_timer_ = loop_.RunAfter(kWait, [this] { Proceed(); });
  Read();
}

void AgentMemory::Read() {
  client_.Cancel(load_);
  loop_.Cancel(std::exchange(again_timer_, 0));
  ApiRequest request;
  request.verb = "get";
  request.resource = "configmaps";
  request.path = absl::StrCat("/api/v1/namespaces/", ns_, "/configmaps/", kName);
  load_ = client_.Do(std::move(request),
                     [this, alive = std::weak_ptr<bool>(alive_)](const absl::StatusOr<ApiResponse>& response) {
                       if (!alive.expired()) OnRead(response);
                     });
}

void AgentMemory::OnRead(const absl::StatusOr<ApiResponse>& response) {
  load_ = 0;
  read_ = response.ok() || absl::IsNotFound(response.status());
  on_problem_(read_ ? absl::OkStatus() : response.status());
  if (response.ok()) {
    exists_ = true;
    const json object = json::parse(response->body, nullptr, /*allow_exceptions=*/false);
    known_ = DecodeAgents(StringAt(MapAt(object, "data"), kKey));
    unsaved_ = false;
  }
  if (!read_) again_timer_ = loop_.RunAfter(kInterval, [this] { Read(); });
  if (done_) return Proceed();
  if (!read_) return;
  on_late_();
  if (changed_ && write_timer_ == 0 && !busy_) Write();
}

void AgentMemory::Proceed() {
  loop_.Cancel(std::exchange(load_timer_, 0));
  if (done_) std::exchange(done_, nullptr)();
}

void AgentMemory::Remember(KnownAgents agents) {
  const auto by_node = [](const auto& a, const auto& b) { return a.node < b.node; };
  std::sort(agents.begin(), agents.end(), by_node);
  if (agents == known_ && !unsaved_) return;
  known_ = std::move(agents);
  changed_ = true;
  if (write_timer_ == 0 && !busy_) Write();
}

void AgentMemory::WhenWritten(model::ClusterSource::Remembered done) {
  if (!changed_ && !busy_) return done(absl::OkStatus());
  awaiting_.push_back(std::move(done));
}

void AgentMemory::Write() {
  if (!read_ || !std::exchange(changed_, false)) return;
  busy_ = true;
  const json data = {{kKey, EncodeAgents(known_)}};
  ApiRequest request;
  request.resource = "configmaps";
  request.urgency = Urgency::kWrite;
  request.path = absl::StrCat("/api/v1/namespaces/", ns_, "/configmaps");
  request.verb = exists_ ? "patch" : "create";
  request.method = exists_ ? Method::kPatch : Method::kPost;
  request.content_type = exists_ ? kMergePatch : kJson;
  if (exists_) absl::StrAppend(&request.path, "/", kName);
  const json body = exists_ ? json{{"data", data}} : json{{"metadata", {{"name", kName}}}, {"data", data}};
  request.body = body.dump();
  writes_.Do(std::move(request),
             [this, alive = std::weak_ptr<bool>(alive_)](const absl::StatusOr<ApiResponse>& response) {
               if (!alive.expired()) OnWritten(response.status());
             });
}

void AgentMemory::OnWritten(const absl::Status& status) {
  busy_ = false;
  if (status.ok() || absl::IsAlreadyExists(status)) exists_ = true;
  if (absl::IsNotFound(status)) exists_ = false;
  const bool forgotten = std::exchange(forgotten_, false);
  if (status.ok() && !forgotten) unsaved_ = false;
  if (forgotten) {
    if (!changed_) Tell(absl::OkStatus());  // to whoever asked since: of this term nothing waits
  } else {
    if (!status.ok()) changed_ = true;
    const bool again = absl::IsAlreadyExists(status) || absl::IsNotFound(status);  // the other way
    on_problem_(again ? absl::OkStatus() : status);
    if (!again && (!status.ok() || !changed_)) Tell(status);
  }
  write_timer_ = loop_.RunAfter(kInterval, [this] {
    write_timer_ = 0;
    Write();
  });
}

void AgentMemory::Tell(const absl::Status& status) {
  for (const auto& done : std::exchange(awaiting_, {})) done(status);
}

void AgentMemory::Forget() {
  unsaved_ = unsaved_ || changed_ || busy_;
  changed_ = false;
  forgotten_ = busy_;
  on_problem_(absl::OkStatus());
  Tell(absl::UnavailableError("this controller leads no more, and what it was told is not on record for sure"));
}

}  // namespace berth::kube
