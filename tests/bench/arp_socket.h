// SPDX-License-Identifier: Apache-2.0
// tests/bench/arp_socket.h -- asks for IPv4 addresses by ARP, many at a time, and hears the answers.
//
//   ArpSocket lan("eth0", my_ip);
//   lan.Ask(targets, count);
//   lan.Hear([](std::uint32_t who) { ... });
//
// A raw socket of its own and frames of its own, so that a mistake in Berth's parser cannot hide here. Any failing
// system call ends the program with exit code 3 and a sentence.
#ifndef BERTH_TESTS_BENCH_ARP_SOCKET_H_
#define BERTH_TESTS_BENCH_ARP_SOCKET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace berth::bench {

[[noreturn]] void Die(const std::string& what);

class ArpSocket {
 public:
  static constexpr std::size_t kBatch = 64;

  // Asks in the name of `sender` (host order) and the interface's own MAC; with `sources` above 1 in the names of so
  // many hosts in turn, whose addresses begin with `sender` and whose MACs are made up.
  ArpSocket(const std::string& interface, std::uint32_t sender, std::size_t sources = 1);
  ~ArpSocket();
  ArpSocket(const ArpSocket&) = delete;
  ArpSocket& operator=(const ArpSocket&) = delete;

  // Broadcasts a request for each of `count` addresses (host order), at most kBatch.
  void Ask(const std::uint32_t* targets, std::size_t count);
  // The same for one, by the shortest way.
  void AskOne(std::uint32_t target);
  // Takes at most kBatch answers that wait, without waiting for any, and writes the addresses (host order) that
  // answered to `who`. Returns how many.
  std::size_t Hear(std::array<std::uint32_t, kBatch>& who);
  // Takes one answer if one waits.
  std::optional<std::uint32_t> HearOne();

 private:
  void SignNext(std::size_t frame);  // in the name of the next source

  struct Frames;  // kBatch frames and what sendmmsg and recvmmsg want to know of them
  int fd_ = -1;
  const std::uint32_t sender_;
  const std::size_t sources_;
  std::size_t next_source_ = 0;
  std::unique_ptr<Frames> requests_, answers_;
};

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_ARP_SOCKET_H_
