// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/net/ip_range.h"
#include "common/net/quote.h"

namespace berth {
namespace {

// The last node that begins at or before `a`, or end().
template <typename Map>
auto NodeAtOrBefore(Map& ranges, const IpAddr& a) {
  const auto after = ranges.upper_bound(a);
  return after == ranges.begin() ? ranges.end() : std::prev(after);
}

// OK when `part` may stand in one list with the parts `before` it.
absl::Status CheckFits(absl::string_view text, const IpRange& part, const std::vector<IpRange>& before) {
  if (before.empty()) return absl::OkStatus();
  if (before.front().family() != part.family()) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(text), " is ", FamilyName(part.family()), " but ", before.front().ToString(),
                     " in the same list is ", FamilyName(before.front().family()), "; use one list for each family"));
  }
  const auto hit = std::find_if(before.begin(), before.end(), [&](const IpRange& r) { return r.Overlaps(part); });
  if (hit == before.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(Quote(text), " overlaps ", hit->ToString(), " in the same list"));
}

}  // namespace

absl::StatusOr<IpRangeSet> IpRangeSet::Parse(absl::string_view text) {
  constexpr absl::string_view kForms = "write one IP, a CIDR, first-last, or a comma list of these";
  if (absl::StripAsciiWhitespace(text).empty()) {
    return absl::InvalidArgumentError(absl::StrCat("address ", Quote(text), " is empty; ", kForms));
  }
  IpRangeSet set;
  std::vector<IpRange> parts;
  for (const absl::string_view raw : absl::StrSplit(text, ',')) {
    const absl::string_view part = absl::StripAsciiWhitespace(raw);
    if (part.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(Quote(text), ": a part of the comma list is empty; ", kForms));
    }
    const auto range = IpRange::Parse(part);
    if (!range.ok()) return range.status();
    // The set answers in O(log n) whether anything is wrong; only then are the parts walked to say with which.
    const bool other_family = !parts.empty() && parts.front().family() != range->family();
    if (other_family || set.Overlaps(*range)) return CheckFits(part, *range, parts);
    set.Add(*range);
    parts.push_back(*range);
  }
  return set;
}

void IpRangeSet::Add(const IpRange& range) {
  IpAddr first = range.first();
  IpAddr last = range.last();
  // Next() is nullopt at a family's end, so 255.255.255.255 and :: never merge.
  auto node = NodeAtOrBefore(ranges_, first);
  if (node != ranges_.end() && (node->second >= first || node->second.Next() == first)) {
    if (node->second >= last) return;
    first = node->first;
  } else {
    node = ranges_.upper_bound(first);
  }
  while (node != ranges_.end() && (node->first <= last || last.Next() == node->first)) {
    last = std::max(last, node->second);
    node = ranges_.erase(node);
  }
  ranges_.emplace_hint(node, first, last);
}

void IpRangeSet::Remove(const IpRange& range) {
  auto node = NodeAtOrBefore(ranges_, range.first());
  if (node == ranges_.end() || node->second < range.first()) node = ranges_.upper_bound(range.first());
  while (node != ranges_.end() && node->first <= range.last()) {
    const IpAddr first = node->first;
    const IpAddr last = node->second;
    node = ranges_.erase(node);
    if (first < range.first()) ranges_.emplace_hint(node, first, *range.first().Prev());
    if (last > range.last()) {
      ranges_.emplace_hint(node, *range.last().Next(), last);
      return;
    }
  }
}

// Safe for a set added to itself: each range is found there already, so nothing changes under the walk.
void IpRangeSet::Add(const IpRangeSet& other) {
  for (const auto& [first, last] : other.ranges_) Add(*IpRange::Make(first, last));
}

void IpRangeSet::Remove(const IpRangeSet& other) {
  if (&other == this) return ranges_.clear();
  for (const auto& [first, last] : other.ranges_) Remove(*IpRange::Make(first, last));
}

bool IpRangeSet::Contains(const IpAddr& a) const {
  const auto node = NodeAtOrBefore(ranges_, a);
  return node != ranges_.end() && a <= node->second;
}

bool IpRangeSet::ContainsAll(const IpRange& r) const {
  const auto node = NodeAtOrBefore(ranges_, r.first());
  return node != ranges_.end() && r.last() <= node->second;
}

bool IpRangeSet::Overlaps(const IpRange& r) const {
  const auto node = NodeAtOrBefore(ranges_, r.last());
  return node != ranges_.end() && r.first() <= node->second;
}

bool IpRangeSet::Overlaps(const IpRangeSet& other) const {
  if (other.ranges_.size() < ranges_.size()) return other.Overlaps(*this);
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&other](const auto& node) { return other.Overlaps(*IpRange::Make(node.first, node.second)); });
}

std::optional<IpAddr> IpRangeSet::First() const {
  if (ranges_.empty()) return std::nullopt;
  return ranges_.begin()->first;
}

std::optional<IpAddr> IpRangeSet::Last() const {
  if (ranges_.empty()) return std::nullopt;
  return ranges_.rbegin()->second;
}

std::optional<IpAddr> IpRangeSet::NextAtOrAfter(const IpAddr& a) const {
  if (Contains(a)) return a;
  const auto node = ranges_.upper_bound(a);
  if (node == ranges_.end()) return std::nullopt;
  return node->first;
}

AddressCount IpRangeSet::size() const {
  AddressCount total;
  for (const auto& [first, last] : ranges_) total += IpRange::Make(first, last)->size();
  return total;
}

std::vector<IpRange> IpRangeSet::ranges() const {
  std::vector<IpRange> out;
  out.reserve(ranges_.size());
  for (const auto& [first, last] : ranges_) out.push_back(*IpRange::Make(first, last));
  return out;
}

std::string IpRangeSet::ToString() const {
  return absl::StrJoin(ranges(), ",", [](std::string* out, const IpRange& r) { out->append(r.ToString()); });
}

}  // namespace berth
