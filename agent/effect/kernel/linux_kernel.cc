// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/linux_kernel.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/effect/kernel/netlink/link_ops.h"
#include "agent/effect/kernel/netlink/netlink_watch.h"
#include "agent/effect/kernel/nft/nft_silence.h"
#include "common/base/status_macros.h"

namespace berth::agent {
namespace {

constexpr char kOwnInterface[] = "berth0";
constexpr char kKubeProxyInterface[] = "kube-ipvs0";

bool IsOwnKind(const std::string& kind) { return kind == "dummy" || kind == "bridge"; }

std::string DescribeOwn(const std::string& kind) {
  return kind == "dummy" ? "dummy" : "bridge without ports (this kernel has no dummy)";
}

}  // namespace

LinuxKernel::LinuxKernel(EventLoop& loop) : LinuxKernel(loop, Options()) {}
LinuxKernel::LinuxKernel(EventLoop& loop, Options options)
    : watch_(std::make_unique<NetlinkWatch>(loop, options.event_buffer_bytes)),
      silence_(std::make_unique<NftSilence>(loop, options.event_buffer_bytes)) {}
LinuxKernel::~LinuxKernel() = default;

std::uint64_t LinuxKernel::resyncs() const { return watch_->resyncs(); }

absl::Status LinuxKernel::Start(Observer& observer) {
  // The watch of our tables begins before the first state, so that it covers all the core does in answer to that.
  // A kernel without nftables is found out, and said with its cure, by ApplySilence: links and addresses work without.
  const absl::Status silence = silence_->Start([&observer] { observer.OnSilenceDisturbed(); });
  if (!silence.ok() && !absl::IsUnimplemented(silence)) return silence;
  return watch_->Start(
      [&observer](std::shared_ptr<const KernelState> state) { observer.OnKernelState(std::move(state)); });
}

absl::StatusOr<std::optional<VipInterface>> LinuxKernel::EnsureVipInterface(const std::string& rule) {
  if (rule == "none") return std::nullopt;
  RETURN_IF_ERROR(watch_->Open());
  const bool automatic = rule == "auto";
  const std::string name = automatic ? kKubeProxyInterface : rule;
  if (name != kOwnInterface) {
    if (const auto found = watch_->table().FindLink(name)) {
      return VipInterface{.index = found->index,
                          .name = name,
                          .own = false,
                          .description = automatic ? "kube-proxy's interface" : "named by --vip-interface"};
    }
    if (!automatic) {
      return absl::NotFoundError(absl::StrCat("vip interface \"", name,
                                              "\": no such interface on this node; create it, or use "
                                              "--vip-interface=auto"));
    }
  }
  ASSIGN_OR_RETURN(VipInterface own, EnsureOwnInterface());
  return own;
}

absl::StatusOr<VipInterface> LinuxKernel::EnsureOwnInterface() {
  auto found = watch_->table().FindLink(kOwnInterface);
  std::string how = "found from an earlier run: ";
  if (!found) {
    how.clear();
    absl::Status created = CreateLink(watch_->requests(), kOwnInterface, "dummy");
    if (absl::IsUnimplemented(created)) created = CreateLink(watch_->requests(), kOwnInterface, "bridge");
    // Another agent of this node, during an upgrade, may have been faster.
    if (!created.ok() && !absl::IsAlreadyExists(created)) return created;
    RETURN_IF_ERROR(watch_->Refresh());
    found = watch_->table().FindLink(kOwnInterface);
    if (!found) return absl::AbortedError(absl::StrCat(kOwnInterface, ": somebody removed it while it was set up"));
  }
  if (!IsOwnKind(found->kind)) {
    return absl::FailedPreconditionError(
        absl::StrCat(kOwnInterface, ": exists and is not Berth's (kind \"", found->kind,
                     "\", not dummy or bridge); rename it, or name another interface by --vip-interface"));
  }
  RETURN_IF_ERROR(Annotate(RaiseOwnLink(watch_->requests(), found->index), kOwnInterface));
  return VipInterface{.index = found->index,
                      .name = kOwnInterface,
                      .own = true,
                      .description = absl::StrCat(how, DescribeOwn(found->kind))};
}

absl::Status LinuxKernel::AddAddress(int ifindex, const IpAddr& address) {
  RETURN_IF_ERROR(watch_->Open());
  // Asked of the table: the kernel would take 10.0.0.5/32 beside 10.0.0.5/24. Not so in IPv6, where what the table
  // still has may be about to go, its route first, because the interface went down.
  const std::vector<LinkAddress> found = watch_->table().AddressesEqualTo(ifindex, address);
  const auto delivered = [](const LinkAddress& a) { return a.delivered; };
  if (std::any_of(found.begin(), found.end(), delivered)) return absl::OkStatus();
  const absl::Status status = AddMarkedAddress(watch_->requests(), ifindex, address);
  if (absl::IsAlreadyExists(status)) return absl::OkStatus();
  RETURN_IF_ERROR(status);
  ASSIGN_OR_RETURN(const Cidr cidr, Cidr::Make(address, FamilyBits(address.family())));
  watch_->NoteAdded(ifindex, {.cidr = cidr, .ours = true});
  return absl::OkStatus();
}

void LinuxKernel::AwaitDelivery(const IpAddr& address, std::function<void(const absl::Status&)> done) {
  watch_->AwaitDelivery(address, std::move(done));
}

absl::Status LinuxKernel::RemoveAddress(int ifindex, const IpAddr& address) {
  RETURN_IF_ERROR(watch_->Open());
  const std::vector<LinkAddress> found = watch_->table().AddressesEqualTo(ifindex, address);
  if (found.empty()) return absl::OkStatus();
  const auto ours = std::find_if(found.begin(), found.end(), [](const LinkAddress& a) { return a.ours; });
  if (ours == found.end()) {
    return absl::FailedPreconditionError(absl::StrCat("address ", address.ToString(), " on interface with index ",
                                                      ifindex, ": not added by Berth, so it is left there"));
  }
  const absl::Status status = DeleteAddress(watch_->requests(), ifindex, ours->cidr);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status LinuxKernel::ApplySilence(const Silence& silence) { return silence_->Apply(silence); }

absl::Status LinuxKernel::host_ports_status() const { return silence_->ports_status(); }

absl::Status LinuxKernel::RemoveEverything() {
  absl::Status first;
  // Addresses before tables: the other way round, the kernel would answer for them in between.
  first.Update(watch_->Open());
  for (const auto& [index, cidr] : watch_->table().MarkedAddresses()) {
    const absl::Status status = DeleteAddress(watch_->requests(), index, cidr);
    if (!absl::IsNotFound(status)) first.Update(status);
  }
  if (const auto own = watch_->table().FindLink(kOwnInterface); own && IsOwnKind(own->kind)) {
    const absl::Status status = DeleteLink(watch_->requests(), own->index);
    if (!absl::IsNotFound(status)) first.Update(status);
  }
  first.Update(silence_->Remove());
  return first;
}

}  // namespace berth::agent
