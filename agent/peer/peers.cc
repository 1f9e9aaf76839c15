// SPDX-License-Identifier: Apache-2.0
#include "agent/peer/peers.h"

#include <algorithm>

#include "common/base/host_port.h"

namespace berth::agent::peer {
namespace {

constexpr absl::Duration kQuestionLives = absl::Seconds(2);  // answers that come later say nothing of now
constexpr std::size_t kMostAsked = 4096;

}  // namespace

Peers::Peers(const std::string& node, std::uint64_t process, std::string seed)
    : tag_(TagOf(node)), process_(process), seed_(std::move(seed)) {}

void Peers::SetKeys(const std::vector<sync::PeerKey>& keys, absl::Time now) {
  std::vector<sync::PeerKey> all = keys;
  for (const sync::PeerKey& old : keys_) {
    if (std::any_of(keys.begin(), keys.end(), [&](const auto& k) { return k.id == old.id; })) {
      old_keys_.erase(old.id);
    } else if (!keys.empty()) {
      old_keys_.try_emplace(old.id, now + kKeepOldKeys);
      all.push_back(old);
    }
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.id > b.id; });
  if (all.size() > kMostKeys) all.resize(kMostKeys);
  keys_ = std::move(all);
  next_ = std::min(next_, now);
}

void Peers::SetPace(absl::Duration heartbeat, absl::Duration timeout) {
  heartbeat_ = heartbeat;
  timeout_ = timeout;
}

absl::Duration Peers::Interval() const {
  return std::max(heartbeat_, absl::Seconds(1) * static_cast<double>(watched_.size()) / kPathsPerSecond);
}

std::shared_ptr<const Path> Peers::PathTo(const std::string& node, const std::string& endpoint, int ifindex,
                                          absl::Time now) {
  const absl::StatusOr<HostPort> target = ParseTarget(endpoint);
  if (!target.ok()) return nullptr;
  const absl::StatusOr<IpAddr> address = IpAddr::Parse(target->host);
  if (!address.ok()) return nullptr;
  const auto [it, fresh] = watched_.try_emplace({node, *address, target->port, ifindex});
  Watched& watched = it->second;
  if (fresh) {
    watched.path = std::make_shared<Path>(
        Path{.node = node, .tag = TagOf(node), .address = *address, .port = target->port, .ifindex = ifindex});
    watched.last_heard = now;
    // Not all at the same moment.
    watched.next_probe = now + Interval() * (watched.path->tag[0] % 16) / 16;
    next_ = std::min(next_, watched.next_probe);
    changed_ = true;
  }
  return watched.path;
}

void Peers::Forgive(absl::Time now) {
  for (auto& [key, watched] : watched_) {
    watched.last_heard = now;
    watched.next_probe = now;
  }
  next_ = now;
}

Nonce Peers::NewNonce() {
  const std::uint64_t number = ++nonces_;
  const auto mac = Hmac(seed_, {reinterpret_cast<const char*>(&number), sizeof number});
  Nonce nonce{};
  std::copy_n(mac.begin(), nonce.size(), nonce.begin());
  return nonce;
}

Packet Peers::Make(Kind kind, const Tag& to, const Nonce& nonce, const Self& self) const {
  return {.kind = kind,
          .led = self.led,
          .has_state = self.has_state,
          .from = tag_,
          .to = to,
          .nonce = nonce,
          .process = process_,
          .clock = clock_,
          .claims = {}};
}

// With the newest key, and with older ones too until the other side is known to have the newest.
void Peers::Probe(Watched& watched, const Self& self, absl::Time now, std::vector<PeerPacket>& out) {
  const Path& path = *watched.path;
  for (const sync::PeerKey& key : keys_) {
    Watched::Question& question = watched.questions[watched.next_question++ % watched.questions.size()];
    question = {.nonce = NewNonce(), .sent = now};
    out.push_back({.ifindex = path.ifindex,
                   .address = path.address,
                   .port = path.port,
                   .question = true,
                   .bytes = Seal(Make(Kind::kPing, path.tag, question.nonce, self), key)});
    ++counts_.probes;
    if (watched.key_id == keys_.front().id) break;
  }
}

void Peers::Tick(const Self& self, absl::Time now, std::vector<PeerPacket>& out) {
  std::erase_if(watched_, [](const auto& w) { return w.second.path.use_count() == 1; });
  for (auto it = old_keys_.begin(); it != old_keys_.end();) {
    if (now < it->second) {
      ++it;
      continue;
    }
    std::erase_if(keys_, [&](const auto& k) { return k.id == it->first; });
    it = old_keys_.erase(it);
  }
  std::erase_if(asked_, [&](const auto& a) { return now > a.second.sent + kQuestionLives; });
  next_ = old_keys_.empty() ? absl::InfiniteFuture() : now + kKeepOldKeys;
  if (keys_.empty()) return;
  for (auto& [key, watched] : watched_) {
    if (now >= watched.next_probe) {
      Probe(watched, self, now, out);
      watched.next_probe = std::max(watched.next_probe + Interval(), now + Interval() / 2);
    }
    next_ = std::min(next_, watched.next_probe);
    if (!watched.path->heard) continue;
    if (now >= watched.last_heard + Timeout()) {
      watched.path->heard = false;
      changed_ = true;
    } else {
      next_ = std::min(next_, watched.last_heard + Timeout());
    }
  }
}

void Peers::Hear(Watched& watched, const Opened& opened, absl::Time now) {
  Path& path = *watched.path;
  watched.last_heard = now;
  watched.key_id = opened.key_id;
  path.answered = true;
  ++counts_.answers;
  const bool returned = !path.heard || (!path.has_state && opened.packet.has_state);
  if (returned || path.has_state != opened.packet.has_state) changed_ = true;
  path.heard = true;
  path.has_state = opened.packet.has_state;
  if (path.led != opened.packet.led) changed_ = true;
  path.led = opened.packet.led;
  if (returned) returned_.push_back(watched.path);
}

Peers::Watched* Peers::WatchedBy(const Tag& tag, int ifindex) {
  const auto it = std::find_if(watched_.begin(), watched_.end(), [&](const auto& w) {
    return w.second.path->tag == tag && w.second.path->ifindex == ifindex;
  });
  return it == watched_.end() ? nullptr : &it->second;
}

bool Peers::MayAnswer(absl::Time now) {
  constexpr double kBurst = kAnswersPerSecond / 10.0;
  if (now > tokens_at_) {
    const double grown = tokens_at_ == absl::InfinitePast()
                             ? kBurst
                             : tokens_ + kAnswersPerSecond * absl::ToDoubleSeconds(now - tokens_at_);
    tokens_ = std::min(kBurst, grown);
    tokens_at_ = now;
  }
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

Incoming Peers::Receive(const PeerPacket& packet, const Self& self, absl::Time now, std::vector<PeerPacket>& out) {
  Incoming in;
  absl::StatusOr<Opened> opened = Open(packet.bytes, keys_, tag_);
  if (!opened.ok()) {
    ++counts_.refused;
    return in;
  }
  Packet& p = opened->packet;
  const bool answer = p.kind == Kind::kPong || p.kind == Kind::kTell;
  if (answer != packet.question || (!answer && !MayAnswer(now))) {
    ++counts_.refused;
    return in;
  }
  Heed(p.clock);
  in.from = p.from;
  in.question = packet;
  in.nonce = p.nonce;
  in.key_id = opened->key_id;
  switch (p.kind) {
    case Kind::kPing: {
      const auto key = std::find_if(keys_.begin(), keys_.end(), [&](const auto& k) { return k.id == in.key_id; });
      out.push_back(packet);
      out.back().bytes = Seal(Make(Kind::kPong, p.from, p.nonce, self), *key);
      return in;
    }
    case Kind::kPong: {
      Watched* watched = WatchedBy(p.from, packet.ifindex);
      if (watched == nullptr) return in;
      const auto question = std::find_if(watched->questions.begin(), watched->questions.end(),
                                         [&](const auto& q) { return q.nonce == p.nonce; });
      if (question == watched->questions.end() || now > question->sent + kQuestionLives) return in;
      question->sent = absl::InfinitePast();  // once
      Hear(*watched, *opened, now);
      return in;
    }
    case Kind::kAsk: {
      const Watched* watched = WatchedBy(p.from, packet.ifindex);
      if (watched != nullptr) in.path = watched->path;
      in.claims = std::move(p.claims);
      in.what = Incoming::What::kAsked;
      return in;
    }
    case Kind::kTell: {
      const auto asked = asked_.extract(p.nonce);
      if (asked.empty() || asked.mapped().path->tag != p.from) return in;
      ++counts_.answers;
      in.path = asked.mapped().path;
      in.claims = std::move(p.claims);
      in.what = Incoming::What::kTold;
      return in;
    }
  }
  return in;
}

const sync::PeerKey* Peers::KeyFor(const Path& path) {
  if (keys_.empty()) return nullptr;
  const Watched* watched = WatchedBy(path.tag, path.ifindex);
  const std::uint64_t id = watched == nullptr ? 0 : watched->key_id;
  const auto key = std::find_if(keys_.begin(), keys_.end(), [&](const auto& k) { return k.id == id; });
  return key == keys_.end() ? &keys_.front() : &*key;
}

void Peers::Ask(const Path& path, std::vector<AddressClaim> claims, const Self& self, absl::Time now,
                std::vector<PeerPacket>& out) {
  const sync::PeerKey* key = KeyFor(path);
  const Watched* watched = WatchedBy(path.tag, path.ifindex);
  if (key == nullptr || watched == nullptr || claims.empty() || asked_.size() >= kMostAsked) return;
  Packet packet = Make(Kind::kAsk, path.tag, NewNonce(), self);
  packet.claims = std::move(claims);
  asked_[packet.nonce] = {watched->path, now};
  ++counts_.probes;
  out.push_back({.ifindex = path.ifindex,
                 .address = path.address,
                 .port = path.port,
                 .question = true,
                 .bytes = Seal(packet, *key)});
}

void Peers::Tell(const Incoming& asked, std::vector<AddressClaim> claims, const Self& self,
                 std::vector<PeerPacket>& out) {
  const auto key = std::find_if(keys_.begin(), keys_.end(), [&](const auto& k) { return k.id == asked.key_id; });
  if (key == keys_.end() || claims.empty()) return;
  Packet packet = Make(Kind::kTell, asked.from, asked.nonce, self);
  packet.claims = std::move(claims);
  out.push_back(asked.question);
  out.back().bytes = Seal(packet, *key);
}

std::vector<sync::PeerState> Peers::States() const {
  std::vector<sync::PeerState> states;
  for (const auto& [key, watched] : watched_) {  // by node
    if (watched.path.use_count() == 1) continue;
    if (states.empty() || states.back().node != watched.path->node) {
      states.push_back({.node = watched.path->node, .heard = true});
    }
    states.back().heard &= watched.path->heard;
  }
  return states;
}

bool Peers::HearsAnybody(int ifindex) const {
  return std::any_of(watched_.begin(), watched_.end(), [&](const auto& w) {
    return w.second.path->ifindex == ifindex && w.second.path->heard && w.second.path->answered;
  });
}

PeerCounts Peers::counts() const {
  PeerCounts counts = counts_;
  for (const auto& [key, watched] : watched_) ++(watched.path->heard ? counts.heard : counts.silent);
  return counts;
}

}  // namespace berth::agent::peer
