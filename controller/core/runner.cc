// SPDX-License-Identifier: Apache-2.0
#include "controller/core/runner.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"

namespace berth::core {
namespace {

// Fewer are decided about together. More, as after the write of a whole cluster's state, take some turns, so that the
// loop hears agents meanwhile and what is to be done about them does not pile up.
constexpr std::ptrdiff_t kEventsOfOneTurn = 2000;

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

CoreRunner::CoreRunner(Options options, model::ClusterSource& source, push::AgentPort& agents, EventLoop& loop,
                       Sinks sinks)
    : core_(std::move(options)), source_(source), agents_(agents), loop_(loop), sinks_(std::move(sinks)) {}

CoreRunner::~CoreRunner() {
  *alive_ = false;
  loop_.Cancel(timer_);
}

absl::Status CoreRunner::Start() {
  absl::Status status = agents_.Start(*this);
  if (!status.ok()) return status;
  return source_.Start(*this);
}

void CoreRunner::Stop() {
  agents_.Shutdown();
  source_.Stop();
  loop_.Cancel(std::exchange(timer_, 0));
}

void CoreRunner::Queue(Event event) {
  queue_.push_back(std::move(event));
  if (queue_.size() == 1) PostDrain();
}

void CoreRunner::PostDrain() {
  loop_.Post([this, alive = alive_] {
    if (*alive) Drain();
  });
}

void CoreRunner::Drain() {
  if (queue_.empty()) return;  // CatchUp was here
  // What happened is let go of before anything is done about it: a cluster's first delta is large.
  std::vector<Event> events = std::exchange(queue_, {});
  if (events.size() > kEventsOfOneTurn) {
    queue_.assign(std::make_move_iterator(events.begin() + kEventsOfOneTurn), std::make_move_iterator(events.end()));
    events.resize(kEventsOfOneTurn);
    PostDrain();
  }
  Handle(std::move(events));
}

void CoreRunner::CatchUp() {
  while (!queue_.empty()) Drain();
}

void CoreRunner::Handle(std::vector<Event> events) {
  const Effects effects = core_.Handle(std::exchange(events, {}), loop_.Now());
  for (const Effect& effect : effects) Do(effect);
  if (subscribers_.empty()) {
    core_.TakeChanges();
  } else if (!publishing_) {
    publishing_ = true;
    loop_.Post([this, alive = alive_] {
      if (*alive) Publish();
    });
  }
}

void CoreRunner::Do(const Effect& effect) {
  std::visit(Overloaded{[&](const SendToAgent& e) { agents_.Send(e.stream, e.message); },
                        [&](const CloseStream& e) { agents_.Close(e.stream, e.status); },
                        [&](const WriteService& e) { source_.WriteService(e.write); },
                        [&](const WritePoolStatus& e) { source_.WritePoolStatus(e.status); },
                        [&](const RecordEvent& e) { source_.RecordEvent(e.event); },
                        [&](const RaiseTerm& e) { source_.RaiseTerm(e.at_least); },
                        [&](const RememberAgents& e) { source_.RememberAgents(e.agents); },
                        [&](const SayUnannounced& e) { source_.WriteUnannounced(e.services); },
                        [&](const core::Examined& e) {
                          for (const Examined& done : std::exchange(examining_, {})) done(e.census);
                        },
                        [&](const WakeAt& e) { Wake(e.at); },
                        [&](const LogLine& e) {
                          if (sinks_.log) sinks_.log(e);
                        },
                        [&](const Observe& e) {
                          if (sinks_.observe) sinks_.observe(e);
                        }},
             effect);
}

void CoreRunner::Wake(absl::Time at) {
  if (at == wake_at_ && timer_ != 0) return;
  loop_.Cancel(std::exchange(timer_, 0));
  wake_at_ = at;
  if (at == absl::InfiniteFuture()) return;
  timer_ = loop_.RunAt(at, [this] {
    timer_ = 0;
    Queue(Tick{});
  });
}

void CoreRunner::OnDelta(const model::ClusterDelta& delta) { Queue(SourceChanged{delta}); }
void CoreRunner::OnSynced() { Queue(SourceSynced{source_.KnownAgents()}); }
void CoreRunner::OnLeadership(bool leader, std::uint64_t term, const std::string& leader_name) {
  Queue(Leadership{leader, term, leader_name, source_.KnownAgents()});
}
void CoreRunner::OnServiceWritten(std::uint64_t write_id, const absl::Status& status, const std::string& revision) {
  Queue(ServiceWritten{write_id, status, revision});
}
void CoreRunner::OnProblems(const model::Problems& problems) { Queue(SourceProblems{problems}); }
void CoreRunner::OnStreamOpened(StreamId stream, const StreamPeer& peer) { Queue(StreamOpened{stream, peer}); }
void CoreRunner::OnAgentMessage(StreamId stream, sync::AgentMessage message) {
  Queue(FromAgent{stream, std::move(message)});
}
void CoreRunner::OnStreamClosed(StreamId stream, const std::string& reason) { Queue(StreamClosed{stream, reason}); }

absl::StatusOr<model::DrainView> CoreRunner::DrainNode(const std::string& node) {
  CatchUp();
  RETURN_IF_ERROR(core_.CheckDrain(node));
  Handle({DrainOrder{node, true}});
  return core_.DrainViewOf(node, WallOffset());
}

absl::StatusOr<model::AgentView> CoreRunner::UndrainNode(const std::string& node) {
  CatchUp();
  RETURN_IF_ERROR(core_.CheckDrain(node));
  Handle({DrainOrder{node, false}});
  return core_.AgentViewOf(node, WallOffset());
}

absl::StatusOr<model::AddressView> CoreRunner::MoveAddress(const IpAddr& address, const std::string& node) {
  CatchUp();
  RETURN_IF_ERROR(core_.CheckMove(address, node));
  Handle({MoveOrder{address, node}});
  return core_.AddressViewOf(address, WallOffset());
}

absl::StatusOr<std::vector<model::MoveView>> CoreRunner::Rebalance(bool dry_run) {
  CatchUp();
  RETURN_IF_ERROR(core_.CheckOrder());
  std::vector<model::MoveView> moves = core_.RebalanceView();
  if (!dry_run) Handle({RebalanceOrder{}});
  return moves;
}

void CoreRunner::Examine(Examined done) {
  CatchUp();
  examining_.push_back(std::move(done));
  if (examining_.size() == 1) Handle({ExamineOrder{}});
}

std::uint64_t CoreRunner::Subscribe(std::function<void(const std::vector<model::ChangeView>&)> on_change) {
  subscribers_[++last_subscriber_] = std::move(on_change);
  return last_subscriber_;
}

void CoreRunner::Publish() {
  publishing_ = false;
  const ControllerCore::Changes changed = core_.TakeChanges();
  if (changed.empty() || subscribers_.empty()) return;
  std::vector<model::ChangeView> views;
  const auto pools = changed.pools.empty() ? std::vector<model::PoolView>{} : core_.PoolViews();
  for (const std::string& name : changed.pools) {
    auto it = std::find_if(pools.begin(), pools.end(), [&](const model::PoolView& p) { return p.name == name; });
    model::ChangeView v;
    v.gone = it == pools.end();
    v.pool = v.gone ? model::PoolView{} : *it;
    v.pool->name = name;
    views.push_back(std::move(v));
  }
  for (const model::ObjectId& id : changed.services) {
    auto view = core_.ServiceViewOf(id);
    model::ChangeView v;
    v.gone = !view.ok();
    v.service = v.gone ? model::ServiceView{} : *std::move(view);
    v.service->id = id;
    views.push_back(std::move(v));
  }
  for (const IpAddr& address : changed.addresses) {
    auto view = core_.AddressViewOf(address, WallOffset());
    model::ChangeView v;
    v.gone = !view.ok();
    v.address = v.gone ? model::AddressView{} : *std::move(view);
    v.address->address = address;
    views.push_back(std::move(v));
  }
  const auto agents = changed.agents.empty() ? std::vector<model::AgentView>{} : core_.AgentViews(WallOffset());
  for (const std::string& node : changed.agents) {
    auto it = std::find_if(agents.begin(), agents.end(), [&](const model::AgentView& a) { return a.node == node; });
    model::ChangeView v;
    v.gone = it == agents.end();
    v.agent = v.gone ? model::AgentView{} : *it;
    v.agent->node = node;
    views.push_back(std::move(v));
  }
  const auto subscribers = subscribers_;  // one may leave while being told
  for (const auto& [id, on_change] : subscribers) on_change(views);
}

}  // namespace berth::core
