// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/nft/nft_silence.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "agent/effect/kernel/nft/nft_batch.h"
#include "agent/effect/kernel/nft/nft_reader.h"
#include "common/base/status_macros.h"

namespace berth::agent {
namespace {

struct Difference {
  std::vector<IpAddr> gone, come;
};

Difference DifferenceBetween(const std::set<IpAddr>& from, const std::set<IpAddr>& to) {
  Difference difference;
  auto f = from.begin();
  auto t = to.begin();
  while (f != from.end() || t != to.end()) {
    if (t == to.end() || (f != from.end() && *f < *t)) {
      difference.gone.push_back(*f++);
    } else if (f == from.end() || *t < *f) {
      difference.come.push_back(*t++);
    } else {
      ++f;
      ++t;
    }
  }
  return difference;
}

template <typename Addresses>
std::vector<NftKey> OfFamily(NftFamily family, const Addresses& addresses) {
  std::vector<NftKey> chosen;
  for (const IpAddr& address : addresses) {
    if (NftFamilyOf(address) == family) chosen.emplace_back(address);
  }
  return chosen;
}

}  // namespace

NftSilence::~NftSilence() {
  if (on_disturbed_ && monitor_.is_open()) loop_.UnwatchFd(monitor_.fd());
}

absl::Status NftSilence::Start(std::function<void()> on_disturbed) {
  RETURN_IF_ERROR(socket_.Open());
  RETURN_IF_ERROR(monitor_.Open(event_buffer_bytes_));
  RETURN_IF_ERROR(loop_.WatchFd(monitor_.fd(), EPOLLIN, [this](std::uint32_t) { OnEvents(); }));
  on_disturbed_ = std::move(on_disturbed);
  return absl::OkStatus();
}

void NftSilence::OnEvents() {
  if (!monitor_.Drain(socket_.port_id()) || !applied_) return;
  // Another agent of this node may just have written the same.
  const absl::StatusOr<bool> intact = IsInKernel(*applied_);
  if (intact.ok() && *intact && ports_.IsIntact()) return;
  Forget();
  on_disturbed_();
}

absl::Status NftSilence::Apply(const Silence& silence) {
  RETURN_IF_ERROR(socket_.Open());
  if (silence.keep_others) {
    Silence all = silence;
    AddThoseInKernel(all.addresses);
    all.keep_others = false;
    // Ports are shut together with all that is open: by whoever knows that. Until then they are as they were.
    const absl::Status status = ApplyAddresses(all);
    ports_.Forget();
    ports_status_ = absl::OkStatus();
    return status;
  }
  const absl::Status status = ApplyAddresses(silence);
  // Whatever becomes of the ports, the silence holds.
  ports_status_ = ports_.Apply(silence);
  return status;
}

void NftSilence::AddThoseInKernel(std::set<IpAddr>& addresses) {
  for (const NftFamily family : {NftFamily::kArp, NftFamily::kIp6}) {
    const absl::StatusOr<NftPicture> picture = ReadNftPicture(socket_, family);
    if (!picture.ok()) continue;  // what cannot be read is told by what follows
    const auto set = picture->sets.find(kNftSet);
    if (set == picture->sets.end()) continue;
    for (const NftKey& key : set->second) {
      const absl::StatusOr<IpAddr> address = IpAddr::FromBytes(key.view());
      if (address.ok()) addresses.insert(*address);
    }
  }
}

absl::Status NftSilence::ApplyAddresses(const Silence& silence) {
  if (monitor_.is_open() && monitor_.Drain(socket_.port_id())) Forget();
  const bool only_v4 = std::all_of(silence.addresses.begin(), silence.addresses.end(),
                                   [](const IpAddr& address) { return address.is_v4(); });
  if (!only_v4) families_ = {NftFamily::kArp, NftFamily::kIp6};
  absl::Status status = Reach(silence);
  if (absl::IsUnimplemented(status) && only_v4 && families_.size() > 1) {
    families_ = {NftFamily::kArp};
    status = Reach(silence);
  }
  if (!status.ok()) applied_.reset();
  return status;
}

void NftSilence::Forget() {
  applied_.reset();
  ports_.Forget();
}

absl::Status NftSilence::Reach(const Silence& silence) {
  // A difference that the kernel refuses means that things there are not as we think: look, and write all of it.
  if (applied_ && SendDifference(silence).ok()) return absl::OkStatus();
  const absl::StatusOr<bool> there = IsInKernel(silence);
  if (!there.ok() || !*there) RETURN_IF_ERROR(Rebuild(silence));
  applied_.emplace(Silence{.addresses = silence.addresses, .rewrite = silence.rewrite, .rewrite6 = silence.rewrite6});
  return absl::OkStatus();
}

absl::StatusOr<bool> NftSilence::IsInKernel(const Silence& silence) {
  for (const NftFamily family : families_) {
    ASSIGN_OR_RETURN(const NftPicture picture, ReadNftPicture(socket_, family));
    if (picture != NftPictureOf(family, silence)) return false;
  }
  return true;
}

absl::Status NftSilence::Rebuild(const Silence& silence) {
  NftBatch batch;
  for (const NftFamily family : families_) {
    batch.ReplaceTable(family);
    batch.AddSet(family, NftSetOf(family));
    batch.AddElements(family, kNftSet, OfFamily(family, silence.addresses));
    for (const NftChain& chain : NftChainsOf(family, silence)) {
      batch.AddChain(chain);
      batch.AddRules(chain);
    }
  }
  return socket_.Commit(std::move(batch));
}

absl::Status NftSilence::SendDifference(const Silence& silence) {
  const Difference difference = DifferenceBetween(applied_->addresses, silence.addresses);
  const auto same_rewrite = [&](NftFamily family) {
    return family == NftFamily::kArp ? applied_->rewrite == silence.rewrite : applied_->rewrite6 == silence.rewrite6;
  };
  const bool same_rewrites = std::all_of(families_.begin(), families_.end(), same_rewrite);
  if (difference.gone.empty() && difference.come.empty() && same_rewrites) return absl::OkStatus();
  NftBatch batch;
  for (const NftFamily family : families_) {
    batch.DeleteElements(family, kNftSet, OfFamily(family, difference.gone));
    batch.AddElements(family, kNftSet, OfFamily(family, difference.come));
    if (same_rewrite(family)) continue;
    for (const NftChain& chain : NftChainsOf(family, silence)) {
      batch.FlushChain(chain);
      batch.AddRules(chain);
    }
  }
  RETURN_IF_ERROR(socket_.Commit(std::move(batch)));
  // Not a copy of the whole: a change of one among thousands of addresses is to stay cheap.
  for (const IpAddr& address : difference.gone) applied_->addresses.erase(address);
  applied_->addresses.insert(difference.come.begin(), difference.come.end());
  applied_->rewrite = silence.rewrite;
  applied_->rewrite6 = silence.rewrite6;
  return absl::OkStatus();
}

absl::Status NftSilence::Remove() {
  applied_.reset();
  absl::Status first;
  for (const NftFamily family : families_) {
    NftBatch batch;
    batch.DeleteTable(family);
    const absl::Status status = socket_.Commit(std::move(batch));
    if (!absl::IsUnimplemented(status)) first.Update(status);
  }
  first.Update(ports_.Remove());
  return first;
}

}  // namespace berth::agent
