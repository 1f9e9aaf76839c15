// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/sighting_inbox.h"

#include <utility>

namespace berth::agent {

void SightingInbox::Add(const Sighting& sighting) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Key key{sighting.ifindex, sighting.address, sighting.mac};
  if (const auto found = positions_.find(key); found != positions_.end()) {
    if (sighting.gratuitous) pending_[found->second] = sighting;
    return;
  }
  if (pending_.size() >= kMaxPending) return;
  positions_.emplace(key, pending_.size());
  pending_.push_back(sighting);
}

absl::Duration SightingInbox::Flush(absl::Time now) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (pending_.empty()) return absl::InfiniteDuration();
    if (posted_) return absl::InfiniteDuration();  // what waits goes along with the delivery under way
    if (now < next_delivery_) return next_delivery_ - now;
    posted_ = true;
  }
  next_delivery_ = now + kMinInterval;
  loop_.Post([self = shared_from_this()] { self->Deliver(); });
  return absl::InfiniteDuration();
}

void SightingInbox::PostError(int ifindex, const absl::Status& status) {
  loop_.Post([self = shared_from_this(), ifindex, status] {
    if (self->observer_ != nullptr) self->observer_->OnInterfaceError(ifindex, status);
  });
}

void SightingInbox::PostOpen(int ifindex) {
  loop_.Post([self = shared_from_this(), ifindex] {
    if (self->observer_ != nullptr) self->observer_->OnInterfaceOpen(ifindex);
  });
}

void SightingInbox::Deliver() {
  std::vector<Sighting> batch;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    batch = std::exchange(pending_, {});
    positions_.clear();
    posted_ = false;
  }
  for (const Sighting& sighting : batch) {
    if (observer_ == nullptr) return;  // an observer may destroy the port from inside
    observer_->OnSighting(sighting);
  }
}

}  // namespace berth::agent
