// SPDX-License-Identifier: Apache-2.0
#include "controller/core/unannounced.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::core {
namespace {
constexpr absl::Duration kAgain = absl::Seconds(1);  // between two looks at those that are not announced
}  // namespace

void Unannounced::Begin() {
  if (!ctx_.options.record_reasons) return;
  begun_ = ctx_.now;
  said_.reset();
  for (const auto& [address, h] : holders_.all()) Note(address);
  CheckAt(ctx_.now + ctx_.options.unannounced_after);
}

void Unannounced::End() {
  ctx_.timers.Cancel(std::exchange(timer_, 0));
  entries_.clear();
}

void Unannounced::Note(const IpAddr& address) {
  if (!ctx_.active || !ctx_.options.record_reasons) return;
  const Holding* h = holders_.Find(address);
  // The end of it is noticed when they are looked at.
  if (h == nullptr || holders_.IsAnnounced(*h)) return;
  if (!entries_.try_emplace(address, Entry{ctx_.now, ""}).second) return;
  CheckAt(ctx_.now + ctx_.options.unannounced_after);
}

void Unannounced::CheckAt(absl::Time at) {
  if (timer_ == 0) timer_ = ctx_.timers.At(at, [this] { Check(); });
}

void Unannounced::Check() {
  timer_ = 0;
  const bool anybody = agents_.connected_count() != 0;
  absl::Time next = absl::InfiniteFuture();
  model::UnannouncedServices now;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const IpAddr& address = it->first;
    Entry& entry = it->second;
    const Holding* h = holders_.Find(address);
    if (h == nullptr || holders_.IsAnnounced(*h)) {
      it = entries_.erase(it);
      continue;
    }
    if (!anybody && entry.why.empty()) entry.since = ctx_.now;  // when they return, they have the time to say so
    const absl::Time due = entry.since + ctx_.options.unannounced_after;
    if (entry.why.empty() && ctx_.now >= due) {
      const std::string refusals = RefusalsText(*h);
      entry.why = absl::StrCat(address.ToString(), ": ", h->message.empty() ? "not announced" : h->message,
                               refusals.empty() ? "" : ": ", refusals);
    }
    next = std::min(next, std::max(due, ctx_.now + kAgain));
    if (!entry.why.empty()) {
      for (const plan::Claim& owner : ctx_.ledger.OwnersOf(address)) {
        std::string& text = now[owner.service];
        absl::StrAppend(&text, text.empty() ? "" : "; ", entry.why);
      }
    }
    ++it;
  }
  if (next != absl::InfiniteFuture()) CheckAt(next);
  // A leader knows who is announced only when the agents have had the time to say so.
  if (!said_.has_value() && ctx_.now < begun_ + ctx_.options.unannounced_after) {
    return CheckAt(begun_ + ctx_.options.unannounced_after);
  }
  if (said_ == now || (!said_.has_value() && !anybody && now.empty())) {
    if (!said_.has_value()) CheckAt(ctx_.now + kAgain);
    return;
  }
  said_ = now;
  ctx_.Emit(SayUnannounced{std::move(now)});
}

}  // namespace berth::core
