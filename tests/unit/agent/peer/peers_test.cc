// SPDX-License-Identifier: Apache-2.0
#include "agent/peer/peers.h"

#include <catch2/catch.hpp>
#include <deque>

#include "absl/strings/str_cat.h"

namespace berth::agent::peer {
namespace {

constexpr int kEth0 = 2;
const sync::PeerKey kOld{.id = 1, .secret = std::string(32, 'o')};
const sync::PeerKey kNew{.id = 2, .secret = std::string(32, 'n')};
const Self kSelf{.led = false, .has_state = true};

// Two agents and the wire between them.
struct Pair {
  struct End {
    End(const std::string& n, int number)
        : node(n), ip(*IpAddr::Parse(absl::StrCat("192.0.2.", number))), peers(n, 1, n + " seed") {}
    std::string node;
    IpAddr ip;
    Peers peers;
    std::shared_ptr<const Path> path;
    Self self = kSelf;
    Incoming last;
  };
  Pair() {
    for (End* end : {&a, &b}) end->peers.SetKeys({kOld}, now);
    a.path = a.peers.PathTo("b", "192.0.2.2:7445", kEth0, now);
    b.path = b.peers.PathTo("a", "192.0.2.1:7445", kEth0, now);
  }
  void Deliver(End& from, End& to, const std::vector<PeerPacket>& packets) {
    for (const PeerPacket& sent : packets) {
      wire.push_back(sent);
      if (cut) continue;
      PeerPacket got = sent;
      got.address = from.ip;
      got.question = !sent.question;  // a question comes in where questions do, an answer where one was asked
      if (sent.question) got.port = 40000;
      std::vector<PeerPacket> answers;
      Incoming in = to.peers.Receive(got, to.self, now, answers);
      if (in.what != Incoming::What::kNothing) to.last = in;
      Deliver(to, from, answers);
    }
  }
  void Run(absl::Duration d) {
    const absl::Time end = now + d;
    for (; now < end; now += absl::Milliseconds(10)) {
      for (auto [from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
        if (from->peers.Next() > now) continue;
        std::vector<PeerPacket> out;
        from->peers.Tick(from->self, now, out);
        Deliver(*from, *to, out);
      }
    }
  }
  absl::Time now = absl::UnixEpoch();
  bool cut = false;
  std::deque<PeerPacket> wire;
  End a{"a", 1}, b{"b", 2};
};

TEST_CASE("a path is silent one timeout after its last answer, and heard again with the next", "[unit]") {
  Pair pair;
  pair.Run(absl::Seconds(1));
  CHECK(pair.a.path->counts());
  CHECK(pair.a.path->answered);
  (void)pair.a.peers.TakeChanged();
  pair.cut = true;
  pair.Run(absl::Milliseconds(390));
  CHECK(pair.a.path->heard);
  pair.Run(absl::Milliseconds(220));
  CHECK_FALSE(pair.a.path->heard);
  CHECK(pair.a.peers.TakeChanged());
  CHECK(pair.a.peers.States() == std::vector<sync::PeerState>{{"b", false}});
  pair.cut = false;
  pair.Run(absl::Milliseconds(210));
  CHECK(pair.a.path->heard);
  const auto returned = pair.a.peers.TakeReturned();
  REQUIRE(returned.size() == 1);
  CHECK(returned.front() == pair.a.path);
}

TEST_CASE("a path that never answers is given one timeout", "[unit]") {
  Pair pair;
  pair.cut = true;
  pair.Run(absl::Milliseconds(590));
  CHECK(pair.a.path->heard);
  CHECK_FALSE(pair.a.peers.HearsAnybody(kEth0));
  pair.Run(absl::Milliseconds(30));
  CHECK_FALSE(pair.a.path->heard);
}

TEST_CASE("who has no state is heard and does not count", "[unit]") {
  Pair pair;
  pair.b.self.has_state = false;
  pair.Run(absl::Seconds(1));
  CHECK(pair.a.path->heard);
  CHECK_FALSE(pair.a.path->counts());
}

TEST_CASE("probes go once an interval", "[unit]") {
  Pair pair;
  pair.Run(absl::Seconds(10));
  const PeerCounts counts = pair.a.peers.counts();
  // The first questions may not have found the other's key yet, so that all keys are tried: there is one.
  CHECK(counts.probes >= 49);
  CHECK(counts.probes <= 51);
  CHECK(counts.answers == counts.probes);
  CHECK(counts.refused == 0);
}

TEST_CASE("no packet that is repeated is a sign of life", "[unit]") {
  Pair pair;
  pair.Run(absl::Seconds(1));
  std::deque<PeerPacket> recorded;
  recorded.swap(pair.wire);
  pair.cut = true;
  pair.Run(absl::Milliseconds(300));
  for (int round = 0; round < 40; ++round) {
    for (PeerPacket packet : recorded) {
      packet.question = !packet.question;
      std::vector<PeerPacket> answers;
      (void)pair.a.peers.Receive(packet, kSelf, pair.now, answers);
      // What is answered are questions only, with as many bytes.
      for (const PeerPacket& answer : answers) CHECK(answer.bytes.size() == packet.bytes.size());
    }
    pair.Run(absl::Milliseconds(10));
  }
  CHECK_FALSE(pair.a.path->heard);
}

TEST_CASE("keys are changed one agent at a time, and nobody falls silent", "[unit]") {
  Pair pair;
  pair.Run(absl::Seconds(1));
  pair.a.peers.SetKeys({kNew}, pair.now);
  CHECK(pair.a.peers.keys() == std::vector<sync::PeerKey>{kNew, kOld});
  (void)pair.a.peers.TakeChanged();
  (void)pair.b.peers.TakeChanged();
  pair.Run(absl::Seconds(5));
  pair.b.peers.SetKeys({kNew}, pair.now);
  pair.Run(absl::Seconds(5));
  CHECK_FALSE(pair.a.peers.TakeChanged());
  CHECK_FALSE(pair.b.peers.TakeChanged());
  // Later the old one is forgotten, and not needed any more.
  pair.Run(Peers::kKeepOldKeys + absl::Seconds(1));
  CHECK(pair.a.peers.keys() == std::vector<sync::PeerKey>{kNew});
  pair.Run(absl::Seconds(1));
  CHECK_FALSE(pair.a.peers.TakeChanged());
  CHECK(pair.a.path->heard);
}

TEST_CASE("claims are asked for and told, once for each question", "[unit]") {
  Pair pair;
  pair.Run(absl::Seconds(1));
  const AddressClaim ours{*IpAddr::Parse("192.0.2.100"), {.held = true, .led = false, .stamp = {3, 4}, .rank = 1}};
  const AddressClaim theirs{*IpAddr::Parse("192.0.2.100"), {.held = true, .led = false, .stamp = {3, 9}, .rank = 2}};
  std::vector<PeerPacket> out;
  pair.a.peers.Ask(*pair.a.path, {ours}, kSelf, pair.now, out);
  pair.Deliver(pair.a, pair.b, out);
  REQUIRE(pair.b.last.what == Incoming::What::kAsked);
  CHECK(pair.b.last.claims == std::vector<AddressClaim>{ours});
  CHECK(pair.b.last.path == pair.b.path);
  out.clear();
  pair.b.peers.Tell(pair.b.last, {theirs}, kSelf, out);
  REQUIRE(out.size() == 1);
  CHECK_FALSE(out.front().question);
  CHECK(out.front().port == 40000);
  for (int time = 0; time < 2; ++time) {
    pair.a.last = {};
    pair.Deliver(pair.b, pair.a, out);
    CHECK((pair.a.last.what == Incoming::What::kTold) == (time == 0));
    if (time == 0) CHECK(pair.a.last.claims == std::vector<AddressClaim>{theirs});
  }
}

TEST_CASE("clocks of all agents follow the highest", "[unit]") {
  Pair pair;
  pair.b.peers.Heed({5, 70});
  pair.Run(absl::Seconds(1));
  CHECK(pair.a.peers.clock() == sync::Stamp{5, 70});
}

TEST_CASE("answers are limited, whoever asks", "[unit]") {
  Pair pair;
  std::vector<PeerPacket> out, answers;
  pair.a.peers.Tick(kSelf, pair.now + absl::Seconds(1), out);
  REQUIRE(!out.empty());
  PeerPacket ping = out.front();
  ping.question = false;
  for (int i = 0; i < 100'000; ++i) (void)pair.b.peers.Receive(ping, kSelf, pair.now, answers);
  CHECK(answers.size() <= Peers::kAnswersPerSecond / 10);
  CHECK(pair.b.peers.counts().refused >= 99'000);
}

TEST_CASE("paths go when nobody needs them", "[unit]") {
  Pair pair;
  pair.Run(absl::Seconds(1));
  pair.a.path.reset();
  const auto probes = pair.a.peers.counts().probes;
  pair.Run(absl::Seconds(1));
  CHECK(pair.a.peers.counts().probes == probes);
  CHECK(pair.a.peers.States().empty());
  CHECK(pair.a.peers.PathTo("b", "no address", kEth0, pair.now) == nullptr);
  CHECK(pair.a.peers.PathTo("b", "host.example:1", kEth0, pair.now) == nullptr);
}

}  // namespace
}  // namespace berth::agent::peer
