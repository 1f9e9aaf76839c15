// SPDX-License-Identifier: Apache-2.0
// agent/peer/peers.h -- the other agents: who of them is heard, and what they claim. Pure: packets in, packets out.
//
//   std::shared_ptr<const Path> path = peers.PathTo("node2", "192.168.50.12:7445", eth0, now);
//   peers.Tick(self, now, out);           // sends what is due; path->heard says whether it answers
//   Incoming in = peers.Receive(packet, self, now, out);
//
// Each path is asked once an interval (Settings.heartbeat, more slowly where there are many) with a nonce that nobody
// could know, and counts as silent when no such question was answered for Settings.agent_timeout. So a packet that is
// repeated, or comes from another network, is no sign of life.
#ifndef BERTH_AGENT_PEER_PEERS_H_
#define BERTH_AGENT_PEER_PEERS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/peer/packet.h"
#include "agent/peer/peer_port.h"
#include "common/sync/messages.h"

namespace berth::agent::peer {

// One other agent over one of our interfaces. There as long as somebody other than Peers has it.
struct Path {
  std::string node;
  Tag tag{};
  IpAddr address;
  std::uint16_t port = 0;
  int ifindex = 0;
  bool heard = true;      // until it was silent for the timeout: a path that is new is given that time
  bool has_state = true;  // it says that it has a state to act on
  bool led = false;       // it says that it hears a leader
  bool answered = false;  // ever
  // Whether it counts as a candidate: heard, and able to act.
  bool counts() const { return heard && has_state; }
};

struct Self {  // what we say of ourselves
  bool led = false, has_state = false;
};

struct Incoming {
  enum class What : std::uint8_t { kNothing, kAsked, kTold };
  What what = What::kNothing;
  std::shared_ptr<const Path> path;  // to the sender; null when it is none of those watched (kAsked only)
  Tag from{};
  std::vector<AddressClaim> claims;
  // For Tell.
  PeerPacket question;
  Nonce nonce{};
  std::uint64_t key_id = 0;
};

struct PeerCounts {
  std::uint64_t probes = 0;           // questions sent, of both kinds
  std::uint64_t answers = 0;          // answers to them
  std::uint64_t refused = 0;          // packets that were not understood, not authentic or too many
  std::size_t heard = 0, silent = 0;  // paths now
};

class Peers {
 public:
  static constexpr absl::Duration kKeepOldKeys = absl::Minutes(10);  // once a leader names newer ones only
  static constexpr std::size_t kMostKeys = 8;
  static constexpr int kPathsPerSecond = 1000;    // probes sent; with more paths each is asked more slowly
  static constexpr int kAnswersPerSecond = 4000;  // of ours

  // `process`: random. `seed`: random bytes from which nonces are made; both are new for each process.
  Peers(const std::string& node, std::uint64_t process, std::string seed);

  // Keys of a leader or of the disk. Those that we have and are not named stay a while, as others may not have the new
  // ones yet.
  void SetKeys(const std::vector<sync::PeerKey>& keys, absl::Time now);
  const std::vector<sync::PeerKey>& keys() const { return keys_; }  // newest first
  void SetPace(absl::Duration heartbeat, absl::Duration timeout);

  // Null when `endpoint` is no ADDRESS:PORT.
  std::shared_ptr<const Path> PathTo(const std::string& node, const std::string& endpoint, int ifindex, absl::Time now);
  // We stood still, or asked too seldom: nobody is to blame for the silence. All are probed at once.
  void Forgive(absl::Time now);

  // Sends probes that are due and finds out who fell silent. Call again at Next().
  void Tick(const Self& self, absl::Time now, std::vector<PeerPacket>& out);
  absl::Time Next() const { return next_; }
  Incoming Receive(const PeerPacket& packet, const Self& self, absl::Time now, std::vector<PeerPacket>& out);
  // Asks for the claims of the other side on these addresses, at most kMostClaims; the answer comes as kTold.
  void Ask(const Path& path, std::vector<AddressClaim> claims, const Self& self, absl::Time now,
           std::vector<PeerPacket>& out);
  // Answers kAsked; `claims` are for its addresses, in its order.
  void Tell(const Incoming& asked, std::vector<AddressClaim> claims, const Self& self, std::vector<PeerPacket>& out);

  // The highest term anybody named, and the highest version in it.
  const sync::Stamp& clock() const { return clock_; }
  void Heed(const sync::Stamp& stamp) { clock_ = std::max(clock_, stamp); }
  const Tag& tag() const { return tag_; }
  // Whether any path's heard or has_state changed since the last call, and which came to be heard again.
  bool TakeChanged() { return std::exchange(changed_, false); }
  std::vector<std::shared_ptr<const Path>> TakeReturned() { return std::exchange(returned_, {}); }
  // By node, a node being heard when all paths to it are.
  std::vector<sync::PeerState> States() const;
  bool HearsAnybody(int ifindex) const;
  PeerCounts counts() const;

 private:
  struct Watched {
    std::shared_ptr<Path> path;
    absl::Time next_probe, last_heard;
    std::uint64_t key_id = 0;  // of its last answer
    struct Question {
      Nonce nonce{};
      absl::Time sent = absl::InfinitePast();
    };
    std::array<Question, 8> questions;  // a ring
    std::size_t next_question = 0;
  };
  using Key = std::tuple<std::string, IpAddr, std::uint16_t, int>;

  Packet Make(Kind kind, const Tag& to, const Nonce& nonce, const Self& self) const;
  Nonce NewNonce();
  void Probe(Watched& watched, const Self& self, absl::Time now, std::vector<PeerPacket>& out);
  void Hear(Watched& watched, const Opened& opened, absl::Time now);
  Watched* WatchedBy(const Tag& tag, int ifindex);
  const sync::PeerKey* KeyFor(const Path& path);
  bool MayAnswer(absl::Time now);
  absl::Duration Interval() const;
  absl::Duration Timeout() const { return std::max(timeout_, 3 * Interval()); }

  const Tag tag_;
  const std::uint64_t process_;
  const std::string seed_;
  std::uint64_t nonces_ = 0;
  std::vector<sync::PeerKey> keys_;
  std::map<std::uint64_t, absl::Time> old_keys_;  // those no longer named -> until when they are kept
  absl::Duration heartbeat_ = absl::Milliseconds(200), timeout_ = absl::Milliseconds(600);
  std::map<Key, Watched> watched_;
  struct Asked {
    std::shared_ptr<const Path> path;
    absl::Time sent;
  };
  std::map<Nonce, Asked> asked_;
  sync::Stamp clock_;
  absl::Time next_ = absl::InfiniteFuture();
  absl::Time tokens_at_ = absl::InfinitePast();
  double tokens_ = 0;
  bool changed_ = false;
  std::vector<std::shared_ptr<const Path>> returned_;
  PeerCounts counts_;
};

}  // namespace berth::agent::peer

#endif  // BERTH_AGENT_PEER_PEERS_H_
