// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/nft/nft_silence.h"

#include <sys/epoll.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "agent/effect/kernel/nft/nft_batch.h"
#include "agent/effect/kernel/nft/nft_reader.h"
#include "common/base/status_macros.h"

namespace berth::agent {
namespace {

std::vector<IpAddr> Missing(const std::set<IpAddr>& wanted, const std::set<IpAddr>& present, NftFamily family) {
  std::vector<IpAddr> missing;
  std::set_difference(wanted.begin(), wanted.end(), present.begin(), present.end(), std::back_inserter(missing));
  std::erase_if(missing, [family](const IpAddr& address) { return NftFamilyOf(address) != family; });
  return missing;
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
  if (intact.ok() && *intact) return;
  applied_.reset();
  on_disturbed_();
}

absl::Status NftSilence::Apply(const Silence& silence) {
  RETURN_IF_ERROR(socket_.Open());
  if (monitor_.is_open() && monitor_.Drain(socket_.port_id())) applied_.reset();
  const bool only_v4 = std::all_of(silence.addresses.begin(), silence.addresses.end(),
                                   [](const IpAddr& address) { return address.is_v4(); });
  if (!only_v4) families_ = {NftFamily::kArp, NftFamily::kIp6};
  absl::Status status = Reach(silence);
  if (absl::IsUnimplemented(status) && only_v4 && families_.size() > 1) {
    families_ = {NftFamily::kArp};
    status = Reach(silence);
  }
  if (status.ok()) {
    applied_ = silence;
  } else {
    applied_.reset();
  }
  return status;
}

absl::Status NftSilence::Reach(const Silence& silence) {
  if (applied_) {
    if (*applied_ == silence) return absl::OkStatus();
    if (SendDifference(*applied_, silence).ok()) return absl::OkStatus();
    // The kernel refused it as a whole: things there are not as we think. Look, and write all of it.
  }
  const absl::StatusOr<bool> there = IsInKernel(silence);
  if (there.ok() && *there) return absl::OkStatus();
  return Rebuild(silence);
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
    batch.AddSet(family);
    batch.AddElements(family, Missing(silence.addresses, {}, family));
    for (const NftChain& chain : NftChainsOf(family, silence)) {
      batch.AddChain(chain);
      batch.AddRules(chain);
    }
  }
  return socket_.Commit(std::move(batch));
}

absl::Status NftSilence::SendDifference(const Silence& from, const Silence& to) {
  NftBatch batch;
  for (const NftFamily family : families_) {
    batch.DeleteElements(family, Missing(from.addresses, to.addresses, family));
    batch.AddElements(family, Missing(to.addresses, from.addresses, family));
    if (from.rewrite == to.rewrite || family != NftFamily::kArp) continue;
    for (const NftChain& chain : NftChainsOf(family, to)) {
      batch.FlushChain(chain);
      batch.AddRules(chain);
    }
  }
  return socket_.Commit(std::move(batch));
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
  return first;
}

}  // namespace berth::agent
