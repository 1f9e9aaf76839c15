// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/fake_kernel.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace berth::agent {
namespace {

constexpr char kOwnInterface[] = "berth0";

absl::Status NoInterface(int ifindex) { return absl::NotFoundError(absl::StrCat("no interface with index ", ifindex)); }

bool Holds(const Link& link, const IpAddr& address) {
  return std::any_of(link.addresses.begin(), link.addresses.end(),
                     [&](const LinkAddress& a) { return a.cidr.address() == address; });
}

void Insert(Link* link, const LinkAddress& address) {
  std::erase_if(link->addresses, [&](const LinkAddress& a) { return a.cidr == address.cidr; });
  const auto place = std::find_if(link->addresses.begin(), link->addresses.end(),
                                  [&](const LinkAddress& a) { return address.cidr < a.cidr; });
  link->addresses.insert(place, address);
}

}  // namespace

FakeKernel::FakeKernel(EventLoop& loop) : loop_(loop) {
  Link lo{.index = 1, .name = "lo", .mac = {}, .up = true, .carrier = true, .loopback = true, .ethernet = false};
  lo.addresses = {{.cidr = *Cidr::Parse("127.0.0.1/8")}, {.cidr = *Cidr::Parse("::1/128")}};
  links_.emplace(1, std::move(lo));
}
FakeKernel::~FakeKernel() = default;

absl::Status FakeKernel::Enter(Call call) {
  ++calls_[call];
  const auto failure = failures_.find(call);
  return failure == failures_.end() ? absl::OkStatus() : failure->second;
}

void FakeKernel::Changed() {
  ++version_;
  if (observer_ == nullptr || posted_) return;
  posted_ = true;
  loop_.Post([this, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired()) return;
    posted_ = false;
    auto now = std::make_shared<const KernelState>(state());
    if (*now == *published_) return;
    published_ = std::move(now);
    observer_->OnKernelState(published_);
  });
}

absl::Status FakeKernel::Start(Observer& observer) {
  RETURN_IF_ERROR(Enter(Call::kStart));
  if (observer_ != nullptr) return absl::FailedPreconditionError("kernel: started already");
  observer_ = &observer;
  published_ = std::make_shared<const KernelState>(state());
  observer_->OnKernelState(published_);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<VipInterface>> FakeKernel::EnsureVipInterface(const std::string& rule) {
  RETURN_IF_ERROR(Enter(Call::kEnsureVipInterface));
  if (rule == "none") return std::nullopt;
  if (rule == kOwnInterface) return EnsureOwn();
  const std::string name = rule == "auto" ? "kube-ipvs0" : rule;
  for (const auto& [index, link] : links_) {
    if (link.name == name) {
      return VipInterface{.index = index, .name = name, .own = false, .description = "found"};
    }
  }
  if (rule == "auto") return EnsureOwn();
  return absl::NotFoundError(absl::StrCat("vip interface \"", name, "\": no such interface on this node"));
}

VipInterface FakeKernel::EnsureOwn() {
  VipInterface own{.index = 0, .name = kOwnInterface, .own = true, .description = "dummy"};
  for (auto& [index, link] : links_) {
    if (link.name == kOwnInterface) own.index = index;
  }
  if (own.index == 0) {
    own.index = links_.rbegin()->first + 1;
    links_.emplace(own.index, Link{.index = own.index, .name = kOwnInterface});
  }
  links_[own.index].up = true;
  Changed();
  return own;
}

absl::Status FakeKernel::AddAddress(int ifindex, const IpAddr& address) {
  RETURN_IF_ERROR(Enter(Call::kAddAddress));
  const auto link = links_.find(ifindex);
  if (link == links_.end()) return NoInterface(ifindex);
  if (Holds(link->second, address)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Cidr single, Cidr::Make(address, FamilyBits(address.family())));
  Insert(&link->second, {.cidr = single, .ours = true, .delivered = address.is_v4() || !holds_});
  Changed();
  return absl::OkStatus();
}

void FakeKernel::AwaitDelivery(const IpAddr& address, std::function<void(const absl::Status&)> done) {
  const auto delivers = [&](const LinkAddress& a) { return a.cidr.address() == address && a.delivered; };
  for (const auto& [index, link] : links_) {
    if (std::any_of(link.addresses.begin(), link.addresses.end(), delivers)) return done(absl::OkStatus());
  }
  held_.push_back(std::move(done));
}

void FakeKernel::FailDelivery(const absl::Status& status) {
  for (const auto& done : std::exchange(held_, {})) done(status);
}

void FakeKernel::Deliver() {
  holds_ = false;
  for (auto& [index, link] : links_) {
    for (LinkAddress& address : link.addresses) address.delivered = true;
  }
  Changed();
  for (const auto& done : std::exchange(held_, {})) done(absl::OkStatus());
}

absl::Status FakeKernel::RemoveAddress(int ifindex, const IpAddr& address) {
  RETURN_IF_ERROR(Enter(Call::kRemoveAddress));
  const auto link = links_.find(ifindex);
  if (link == links_.end() || !Holds(link->second, address)) return absl::OkStatus();
  const std::size_t removed = std::erase_if(
      link->second.addresses, [&](const LinkAddress& a) { return a.cidr.address() == address && a.ours; });
  if (removed == 0) {
    return absl::FailedPreconditionError(absl::StrCat("address ", address.ToString(), ": not added by Berth"));
  }
  Changed();
  return absl::OkStatus();
}

absl::Status FakeKernel::ApplySilence(const Silence& silence) {
  RETURN_IF_ERROR(Enter(Call::kApplySilence));
  Silence made = silence;
  if (silence.keep_others && silence_.has_value()) {
    made.addresses.insert(silence_->addresses.begin(), silence_->addresses.end());
    made.guarded = silence_->guarded;
    made.open = silence_->open;
  }
  made.keep_others = false;
  silence_ = std::move(made);
  ++version_;
  return absl::OkStatus();
}

absl::Status FakeKernel::RemoveEverything() {
  RETURN_IF_ERROR(Enter(Call::kRemoveEverything));
  silence_.reset();
  std::erase_if(links_, [](const auto& entry) { return entry.second.name == kOwnInterface; });
  for (auto& [index, link] : links_) {
    std::erase_if(link.addresses, [](const LinkAddress& address) { return address.ours; });
  }
  Changed();
  return absl::OkStatus();
}

void FakeKernel::SetLink(Link link) {
  std::sort(link.addresses.begin(), link.addresses.end(),
            [](const LinkAddress& a, const LinkAddress& b) { return a.cidr < b.cidr; });
  std::sort(link.gateways.begin(), link.gateways.end());
  std::sort(link.routes.begin(), link.routes.end());
  const int index = link.index;
  links_[index] = std::move(link);
  Changed();
}

void FakeKernel::RemoveLink(int ifindex) {
  links_.erase(ifindex);
  Changed();
}

void FakeKernel::SetCarrier(int ifindex, bool carrier) {
  if (const auto link = links_.find(ifindex); link != links_.end()) link->second.carrier = carrier;
  Changed();
}

void FakeKernel::AddForeignAddress(int ifindex, const Cidr& cidr) {
  if (const auto link = links_.find(ifindex); link != links_.end()) Insert(&link->second, {.cidr = cidr});
  Changed();
}

void FakeKernel::RemoveForeignAddress(int ifindex, const Cidr& cidr) {
  if (const auto link = links_.find(ifindex); link != links_.end()) {
    std::erase_if(link->second.addresses, [&](const LinkAddress& address) { return address.cidr == cidr; });
  }
  Changed();
}

void FakeKernel::FlushRuleset() {
  if (!silence_) return;
  silence_.reset();
  ++version_;
  if (observer_ == nullptr) return;
  loop_.Post([this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) observer_->OnSilenceDisturbed();
  });
}

void FakeKernel::Fail(Call call, absl::Status status) {
  failures_.erase(call);
  if (!status.ok()) failures_.emplace(call, std::move(status));
}

void FakeKernel::Detach() {
  observer_ = nullptr;
  posted_ = false;
  alive_ = std::make_shared<int>(0);
}

void FakeKernel::Reboot() {
  Detach();
  silence_.reset();
  ++version_;
  std::erase_if(links_, [](const auto& entry) { return entry.second.name == kOwnInterface; });
  for (auto& [index, link] : links_) {
    std::erase_if(link.addresses, [](const LinkAddress& address) { return address.ours; });
  }
}

KernelState FakeKernel::state() const {
  KernelState state;
  for (const auto& [index, link] : links_) state.links.push_back(link);
  return state;
}

bool FakeKernel::WouldAnswer(int ifindex, const IpAddr& address) const {
  if (silence_ && silence_works_ && silence_->addresses.contains(address)) return false;
  if (address.is_v4()) return IsLocal(address);
  const auto link = links_.find(ifindex);
  return link != links_.end() && Holds(link->second, address);
}

bool FakeKernel::IsLocal(const IpAddr& address) const {
  return std::any_of(links_.begin(), links_.end(), [&](const auto& entry) { return Holds(entry.second, address); });
}

bool FakeKernel::Admits(const IpAddr& address, std::uint8_t protocol, std::uint16_t port) const {
  if (!silence_ || !host_ports_status_.ok()) return true;
  const auto& [guarded, open] = std::tie(silence_->guarded, silence_->open);
  return !std::binary_search(guarded.begin(), guarded.end(), address) ||
         std::binary_search(open.begin(), open.end(), OpenPort{address, protocol, port});
}

int FakeKernel::calls(Call call) const {
  const auto count = calls_.find(call);
  return count == calls_.end() ? 0 : count->second;
}

}  // namespace berth::agent
