// SPDX-License-Identifier: Apache-2.0
#include "agent/core/runner.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/obs/log.h"

namespace berth::agent {
namespace {

constexpr absl::Duration kElderCheck = absl::Milliseconds(50);

void WriteLog(const Log& log) {
  static constexpr LogLevel kLevels[] = {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError};
  const LogLevel level = kLevels[static_cast<std::size_t>(log.level)];
  const auto& f = log.fields;
  switch (f.size()) {
    case 0:
      return berth::Log(level, log.sentence);
    case 1:
      return berth::Log(level, log.sentence, {{f[0].first, f[0].second}});
    case 2:
      return berth::Log(level, log.sentence, {{f[0].first, f[0].second}, {f[1].first, f[1].second}});
    case 3:
      return berth::Log(level, log.sentence,
                        {{f[0].first, f[0].second}, {f[1].first, f[1].second}, {f[2].first, f[2].second}});
    default:
      return berth::Log(
          level, log.sentence,
          {{f[0].first, f[0].second}, {f[1].first, f[1].second}, {f[2].first, f[2].second}, {f[3].first, f[3].second}});
  }
}

AgentConfig WithSeams(AgentConfig config, const AgentSeams& seams) {
  config.reads_node = seams.node != nullptr;
  return config;
}

}  // namespace

AgentRunner::AgentRunner(AgentConfig config, AgentSeams seams, std::function<void(int code)> on_exit)
    : seams_(seams),
      on_exit_(std::move(on_exit)),
      vip_rule_(config.vip_interface),
      core_(WithSeams(std::move(config), seams)) {}

AgentRunner::~AgentRunner() {
  *alive_ = false;
  seams_.loop.Cancel(elder_timer_);
  if (timer_ != 0) seams_.loop.Cancel(timer_);
}

absl::Status AgentRunner::Start() {
  absl::StatusOr<std::optional<StoredState>> stored = seams_.disk.Load();
  if (!stored.ok()) LogWarn("state on disk is not used", {{"error", stored.status()}});
  const bool elder = !seams_.disk.Sole();
  Feed(Started{stored.ok() ? *std::move(stored) : std::nullopt, elder});
  if (elder) AwaitElder();
  if (absl::Status s = seams_.kernel.Start(*this); !s.ok()) return s;
  if (absl::Status s = seams_.frames.Start(*this); !s.ok()) return s;
  if (seams_.peers != nullptr) seams_.peers->Start(*this);
  return seams_.controller.Start(*this);
}

// Nothing tells of another process's end but that what it held can be had.
void AgentRunner::AwaitElder() {
  elder_timer_ = seams_.loop.RunAfter(kElderCheck, [this] {
    elder_timer_ = 0;
    if (!seams_.disk.Sole()) return AwaitElder();
    Feed(ElderGone{});
  });
}

void AgentRunner::Terminate() { Feed(berth::agent::Terminate{}); }

void AgentRunner::OnKernelState(std::shared_ptr<const KernelState> state) { Feed(KernelChanged{std::move(state)}); }
void AgentRunner::OnSilenceDisturbed() { Feed(SilenceDisturbed{}); }
void AgentRunner::OnSighting(const Sighting& sighting) { Feed(Seen{sighting}); }
void AgentRunner::OnInterfaceError(int ifindex, const absl::Status& status) { Feed(PortError{ifindex, status}); }
void AgentRunner::OnInterfaceOpen(int ifindex) { Feed(PortOpened{ifindex}); }
void AgentRunner::OnLinkUp() { Feed(LinkUp{}); }
void AgentRunner::OnControllerMessage(sync::ControllerMessage message) { Feed(FromController{std::move(message)}); }
void AgentRunner::OnPeerPacket(PeerPacket packet) { Feed(PeerReceived{std::move(packet)}); }
void AgentRunner::OnLinkDown(const absl::Status& why) { Feed(LinkDown{std::string(why.message())}); }

// An effect may call back into the runner; such events wait until the effects before them are done.
void AgentRunner::Feed(Event event) {
  if (exited_) return;
  events_.push_back(std::move(event));
  if (!draining_) Drain();
}

void AgentRunner::Drain() {
  draining_ = true;
  while (!events_.empty() && !exited_) {
    const Event event = std::move(events_.front());
    events_.pop_front();
    Effects effects;
    core_.Handle(event, seams_.loop.Now(), effects);
    for (Effect& effect : effects) Do(std::move(effect));
  }
  draining_ = false;
}

void AgentRunner::Do(Effect effect) {
  std::visit(
      [this](auto&& e) {
        using T = std::decay_t<decltype(e)>;
        if constexpr (std::is_constructible_v<KernelOp, T>) {
          kernel_ops_.push_back(std::move(e));
          PostKernelSlice();
        } else if constexpr (std::is_same_v<T, SetInterfaces>) {
          seams_.frames.SetInterfaces(e.interfaces);
        } else if constexpr (std::is_same_v<T, Publish>) {
          seams_.frames.Publish(e.table);
        } else if constexpr (std::is_same_v<T, AnswerUntil>) {
          seams_.frames.AnswerUntil(e.until);
        } else if constexpr (std::is_same_v<T, SendFrame>) {
          // A failing interface tells the observer; the schedule repeats what is lost meanwhile.
          (void)seams_.frames.Send(e.ifindex, e.frame);
        } else if constexpr (std::is_same_v<T, SetPeerInterfaces>) {
          if (seams_.peers != nullptr) seams_.peers->SetInterfaces(e.interfaces);
        } else if constexpr (std::is_same_v<T, SendPeer>) {
          if (seams_.peers != nullptr) seams_.peers->Send(e.packet);
        } else if constexpr (std::is_same_v<T, ToController>) {
          seams_.controller.Send(e.message);
        } else if constexpr (std::is_same_v<T, Redial>) {
          seams_.controller.Redial();
        } else if constexpr (std::is_same_v<T, Store>) {
          DoStore(std::move(e));
        } else if constexpr (std::is_same_v<T, ReadNode>) {
          if (seams_.node != nullptr) Feed(NodeRead{seams_.node->Read(e.interfaces)});
        } else if constexpr (std::is_same_v<T, WakeAt>) {
          ArmTimer(e.time);
        } else if constexpr (std::is_same_v<T, Log>) {
          WriteLog(e);
        } else if constexpr (std::is_same_v<T, Count>) {
          CountOne(e.what);
        } else {
          static_assert(std::is_same_v<T, Exit>);
          DoExit(e.code);
        }
      },
      std::move(effect));
}

void AgentRunner::CountOne(Count::What what) {
  switch (what) {
    case Count::What::kConflict:
      ++conflicts_;
      break;
    case Count::What::kDriftRepair:
      ++drift_repairs_;
      break;
    case Count::What::kTakeOver:
      ++take_overs_;
      break;
  }
}

void AgentRunner::DoStore(Store effect) {
  seams_.disk.Save(std::move(effect.state), [this, alive = alive_, number = effect.number](const absl::Status& s) {
    if (*alive) Feed(Stored{number, s});
  });
}

void AgentRunner::DoExit(int code) {
  exited_ = true;
  exit_code_ = code;
  seams_.loop.Cancel(std::exchange(elder_timer_, 0));
  if (timer_ != 0) seams_.loop.Cancel(timer_);
  timer_ = 0;
  kernel_ops_.clear();
  if (seams_.peers != nullptr) seams_.peers->SetInterfaces({});  // a successor on this node answers from now on
  PostGuarded(&AgentRunner::Leave);
}

void AgentRunner::Leave() {
  seams_.controller.Stop();
  if (on_exit_) on_exit_(*exit_code_);  // may destroy this
}

void AgentRunner::ArmTimer(absl::Time at) {
  if (timer_ != 0 && timer_at_ == at) return;
  if (timer_ != 0) seams_.loop.Cancel(timer_);
  timer_at_ = at;
  timer_ = seams_.loop.RunAt(at, [this] {
    timer_ = 0;
    Feed(Timer{});
  });
}

void AgentRunner::PostGuarded(void (AgentRunner::*method)()) {
  seams_.loop.Post([this, alive = alive_, method] {
    if (*alive) (this->*method)();
  });
}

void AgentRunner::PostKernelSlice() {
  if (std::exchange(slice_posted_, true)) return;
  PostGuarded(&AgentRunner::RunKernelSlice);
}

void AgentRunner::RunKernelSlice() {
  slice_posted_ = false;
  in_slice_ = true;
  std::vector<Event> outcomes;
  const auto flush = [&] {
    if (!addresses_done_.results.empty()) outcomes.emplace_back(std::exchange(addresses_done_, {}));
  };
  for (std::size_t n = 0; n < kKernelSlice && !kernel_ops_.empty(); ++n) {
    const KernelOp op = std::move(kernel_ops_.front());
    kernel_ops_.pop_front();
    if (const auto* add = std::get_if<AddAddress>(&op)) {
      AddressResult result{add->ifindex, add->address, true, seams_.kernel.AddAddress(add->ifindex, add->address)};
      if (!result.status.ok() || add->address.is_v4()) {
        NoteAddress(std::move(result));
        continue;
      }
      // Announced too early, it would draw to this node what the node then throws away.
      seams_.kernel.AwaitDelivery(add->address, [this, alive = alive_, result](const absl::Status& status) mutable {
        if (!*alive) return;
        result.status = status;
        NoteAddress(std::move(result));
      });
      continue;
    }
    if (const auto* remove = std::get_if<RemoveAddress>(&op)) {
      const absl::Status status = seams_.kernel.RemoveAddress(remove->ifindex, remove->address);
      NoteAddress({remove->ifindex, remove->address, false, status});
      continue;
    }
    flush();
    if (const auto* silence = std::get_if<ApplySilence>(&op)) {
      const absl::Status status = seams_.kernel.ApplySilence(silence->silence);
      outcomes.emplace_back(SilenceDone{status, seams_.kernel.host_ports_status()});
    } else if (std::holds_alternative<EnsureVipInterface>(op)) {
      absl::StatusOr<std::optional<VipInterface>> vip = seams_.kernel.EnsureVipInterface(vip_rule_);
      outcomes.emplace_back(VipInterfaceDone{vip.status(), vip.ok() ? *vip : std::nullopt});
    } else {
      absl::Status status = seams_.kernel.RemoveEverything();
      if (absl::Status disk = seams_.disk.Remove(); status.ok()) status = disk;
      outcomes.emplace_back(CleanupDone{status});
    }
  }
  flush();
  in_slice_ = false;
  if (!kernel_ops_.empty()) PostKernelSlice();
  for (Event& outcome : outcomes) Feed(std::move(outcome));
}

// What a slice brings is told at its end, what the kernel tells later with all else of that turn.
void AgentRunner::NoteAddress(AddressResult result) {
  addresses_done_.results.push_back(std::move(result));
  if (!in_slice_ && addresses_done_.results.size() == 1) PostGuarded(&AgentRunner::TellAddresses);
}

void AgentRunner::TellAddresses() {
  if (!addresses_done_.results.empty()) Feed(std::exchange(addresses_done_, {}));
}

}  // namespace berth::agent
