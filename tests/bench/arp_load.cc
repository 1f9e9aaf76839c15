// SPDX-License-Identifier: Apache-2.0
// Asks a LAN for addresses by ARP and tells how fast and how completely it answers, as one line of JSON.
//
//   arp_load latency    --count N --gap US       one request at a time, US microseconds apart: min, p50, p99 in ns
//   arp_load throughput --window W --seconds S   W requests under way: answers per second; and in the fastest tenth of
//                                                slices of 2 ms, which is what is done while nothing else has the cores
//   arp_load rate       --rate R --seconds S     R requests a second: how many stay without an answer; with
//                                                --cpu-of PID what share of a core that process used meanwhile
//   arp_load flood      --seconds S              as many requests as the wire takes, or with --rate so many: how many
//                                                were sent; answers are of no interest; with --cpu-of as above
//
// All take --interface NAME --sender IP --addresses FILE: one address a line, asked for in turn; and --sources N: in
// the names of so many hosts in turn, whose addresses begin with the sender's. It waits actively, so it takes a whole
// core, which --core names, and its own waking up is in no figure; if the scheduler has put the answering process on
// the same core, that one gets its turn.
#include <arpa/inet.h>
#include <getopt.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/bench/arp_socket.h"

namespace berth::bench {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kGiveUp = kSecond / 4;           // an answer that comes later counts as lost
constexpr std::int64_t kYieldAfter = kSecond / 20'000;  // without an answer

struct Options {
  std::string mode, interface = "eth0", sender, addresses;
  std::size_t count = 10'000, window = 64, rate = 0, gap = 0, sources = 1;
  double seconds = 1;
  int cpu_of = 0;
  int core = -1;
};

std::int64_t Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

// Hands out the addresses in turn, again and again, and keeps the books of what is asked and not answered yet.
class Ledger {
 public:
  explicit Ledger(std::vector<std::uint32_t> addresses) : addresses_(std::move(addresses)) {
    for (const std::uint32_t each : addresses_) open_.emplace(each, 0);
  }
  std::size_t Take(std::size_t count, std::array<std::uint32_t, ArpSocket::kBatch>& out) {
    count = std::min(count, ArpSocket::kBatch);
    for (std::size_t i = 0; i < count; ++i) {
      out[i] = addresses_[next_];
      next_ = next_ + 1 == addresses_.size() ? 0 : next_ + 1;
      ++open_.find(out[i])->second;
    }
    asked_ += count;
    return count;
  }
  void Answered(std::uint32_t address) {
    const auto found = open_.find(address);
    if (found == open_.end()) return;  // some other host's answer
    if (found->second == 0) {
      ++surplus_;
      return;
    }
    --found->second;
    ++answered_;
  }
  void Forget() {  // what is under way is given up
    if (under_way() == 0) return;
    lost_ += under_way();
    for (auto& [address, count] : open_) count = 0;
  }
  std::size_t asked() const { return asked_; }
  std::size_t answered() const { return answered_; }
  std::size_t lost() const { return lost_; }
  std::size_t surplus() const { return surplus_; }  // answers nobody had asked for, or a second one
  std::size_t under_way() const { return asked_ - answered_ - lost_; }

 private:
  const std::vector<std::uint32_t> addresses_;
  std::size_t next_ = 0, asked_ = 0, answered_ = 0, lost_ = 0, surplus_ = 0;
  std::unordered_map<std::uint32_t, std::size_t> open_;  // asked for, without an answer yet
};

std::size_t HearAll(ArpSocket& lan, Ledger& ledger) {
  std::array<std::uint32_t, ArpSocket::kBatch> who;
  const std::size_t got = lan.Hear(who);
  for (std::size_t i = 0; i < got; ++i) ledger.Answered(who[i]);
  return got;
}

// Takes in answers until none is under way or none has come for kGiveUp; the rest is lost.
void Settle(ArpSocket& lan, Ledger& ledger) {
  for (std::int64_t last = Now(); ledger.under_way() > 0 && Now() - last < kGiveUp;) {
    if (HearAll(lan, ledger) > 0) last = Now();
  }
  ledger.Forget();
}

double CpuSeconds(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) Die("no process " + std::to_string(pid));
  unsigned long long user = 0, system = 0;
  if (std::sscanf(text.c_str() + name_end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                  &system) != 2) {
    Die("cannot read the CPU time of process " + std::to_string(pid));
  }
  return static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

void Latency(const Options& options, ArpSocket& lan, Ledger ledger) {
  const auto gap = static_cast<std::int64_t>(options.gap) * 1000;
  std::vector<std::int64_t> took;
  took.reserve(options.count);
  std::array<std::uint32_t, ArpSocket::kBatch> target;
  for (std::size_t i = 0; i < options.count; ++i) {
    ledger.Take(1, target);
    for (const std::int64_t until = Now() + gap; Now() < until;) {
    }
    const std::int64_t begin = Now();
    lan.AskOne(target[0]);
    std::optional<std::uint32_t> who;
    std::int64_t end = begin;
    while (who != target[0] && end - begin < kGiveUp) {
      who = lan.HearOne();
      end = Now();
      if (end - begin > kYieldAfter) sched_yield();
    }
    if (who == target[0]) {
      ledger.Answered(*who);
      took.push_back(end - begin);
    }
    ledger.Forget();
  }
  if (took.empty()) Die("nothing was answered");
  std::sort(took.begin(), took.end());
  const auto at = [&](double share) {
    return static_cast<long long>(took[static_cast<std::size_t>(share * static_cast<double>(took.size() - 1))]);
  };
  std::printf("{\"asked\": %zu, \"lost\": %zu, \"min_ns\": %lld, \"p50_ns\": %lld, \"p99_ns\": %lld}\n", ledger.asked(),
              ledger.lost(), at(0), at(0.5), at(0.99));
}

// The rate that nine tenths of the slices do not exceed.
double Undisturbed(std::vector<double> rates) {
  const auto at = rates.begin() + static_cast<std::ptrdiff_t>((rates.size() - 1) * 9 / 10);
  std::nth_element(rates.begin(), at, rates.end());
  return *at;
}

double PerSecond(std::size_t count, std::int64_t took) {
  return static_cast<double>(count) * static_cast<double>(kSecond) / static_cast<double>(took);
}

void Throughput(const Options& options, ArpSocket& lan, Ledger ledger) {
  constexpr std::int64_t kSlice = kSecond / 500;
  std::array<std::uint32_t, ArpSocket::kBatch> targets;
  std::vector<double> slices;
  const std::int64_t begin = Now();
  const std::int64_t end = begin + static_cast<std::int64_t>(options.seconds * static_cast<double>(kSecond));
  std::int64_t last = begin, now = begin, slice_begin = begin;
  std::size_t slice_answered = 0;
  // A quarter of the window at least goes out at once, as a LAN's burst would; a window of a few one by one.
  const std::size_t burst = std::clamp<std::size_t>(options.window / 4, 1, ArpSocket::kBatch);
  for (; now < end; now = Now()) {
    if (now - slice_begin >= kSlice) {
      slices.push_back(PerSecond(ledger.answered() - slice_answered, now - slice_begin));
      slice_begin = now;
      slice_answered = ledger.answered();
    }
    if (options.window - ledger.under_way() >= burst) {
      const std::size_t count = ledger.Take(options.window - ledger.under_way(), targets);
      lan.Ask(targets.data(), count);
    }
    if (HearAll(lan, ledger) > 0) {
      last = now;
    } else if (now - last > kGiveUp) {
      ledger.Forget();
      last = now;
    } else if (now - last > kYieldAfter) {
      sched_yield();
    }
  }
  const double rate = PerSecond(ledger.answered(), now - begin);
  if (slices.empty()) slices.push_back(rate);
  Settle(lan, ledger);
  std::printf("{\"asked\": %zu, \"lost\": %zu, \"answers_per_second\": %.0f, \"undisturbed_per_second\": %.0f}\n",
              ledger.asked(), ledger.lost(), rate, Undisturbed(std::move(slices)));
}

void Rate(const Options& options, ArpSocket& lan, Ledger ledger) {
  constexpr std::int64_t kTick = kSecond / 4000;
  std::array<std::uint32_t, ArpSocket::kBatch> targets;
  const std::size_t total = static_cast<std::size_t>(static_cast<double>(options.rate) * options.seconds);
  const double cpu_before = options.cpu_of != 0 ? CpuSeconds(options.cpu_of) : 0;
  const std::int64_t begin = Now();
  std::int64_t next = begin;
  while (ledger.asked() < total) {
    while (Now() < next) HearAll(lan, ledger);
    // As many as are due by now, so that a tick which came late is made good.
    const auto due = static_cast<std::size_t>(static_cast<double>(Now() - begin + kTick) *
                                              static_cast<double>(options.rate) / static_cast<double>(kSecond));
    while (ledger.asked() < std::min(due, total)) {
      const std::size_t count = ledger.Take(std::min(due, total) - ledger.asked(), targets);
      lan.Ask(targets.data(), count);
    }
    next += kTick;
  }
  const double took = static_cast<double>(Now() - begin) / static_cast<double>(kSecond);
  const double cpu = options.cpu_of != 0 ? CpuSeconds(options.cpu_of) - cpu_before : 0;
  Settle(lan, ledger);
  std::printf(
      "{\"asked\": %zu, \"answered\": %zu, \"lost\": %zu, \"surplus\": %zu, \"seconds\": %.3f, \"cpu_share\": %.4f}\n",
      ledger.asked(), ledger.answered(), ledger.lost(), ledger.surplus(), took, cpu / took);
}

void Flood(const Options& options, ArpSocket& lan, const std::vector<std::uint32_t>& addresses) {
  std::array<std::uint32_t, ArpSocket::kBatch> targets;
  const double cpu_before = options.cpu_of != 0 ? CpuSeconds(options.cpu_of) : 0;
  const std::int64_t begin = Now();
  const auto length = static_cast<std::int64_t>(options.seconds * static_cast<double>(kSecond));
  std::size_t sent = 0;
  std::int64_t now = begin;
  for (; now - begin < length; now = Now()) {
    const auto due =
        static_cast<double>(now - begin) * static_cast<double>(options.rate) / static_cast<double>(kSecond);
    if (options.rate != 0 && static_cast<double>(sent) > due) continue;
    for (std::size_t i = 0; i < targets.size(); ++i) targets[i] = addresses[(sent + i) % addresses.size()];
    lan.Ask(targets.data(), targets.size());
    sent += targets.size();
  }
  const double took = static_cast<double>(now - begin) / static_cast<double>(kSecond);
  const double cpu = options.cpu_of != 0 ? CpuSeconds(options.cpu_of) - cpu_before : 0;
  std::printf("{\"asked\": %zu, \"seconds\": %.3f, \"cpu_share\": %.4f}\n", sent, took, cpu / took);
}

std::uint32_t ParseIp(const std::string& text) {
  in_addr address{};
  if (inet_pton(AF_INET, text.c_str(), &address) != 1) Die("not an IPv4 address: " + text);
  return ntohl(address.s_addr);
}

std::vector<std::uint32_t> ReadAddresses(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::uint32_t> addresses;
  for (std::string line; std::getline(file, line);) addresses.push_back(ParseIp(line));
  if (addresses.empty()) Die("no addresses in " + path);
  return addresses;
}

void StayOn(int core) {
  if (core < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(core), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) Die("cannot stay on core " + std::to_string(core));
}

[[noreturn]] void Usage() {
  std::fputs(
      "usage: arp_load latency|throughput|rate|flood --sender IP --addresses FILE [--interface NAME]\n"
      "                [--count N] [--gap US] [--window W] [--rate R] [--seconds S] [--cpu-of PID] [--core N]\n"
      "                [--sources N]\n",
      stderr);
  std::exit(2);
}

std::size_t Number(const std::string& text) { return std::strtoul(text.c_str(), nullptr, 10); }

Options Parse(int argc, char** argv) {
  static const option kOptions[] = {
      {"interface", 1, nullptr, 'i'}, {"sender", 1, nullptr, 's'},  {"addresses", 1, nullptr, 'a'},
      {"count", 1, nullptr, 'n'},     {"gap", 1, nullptr, 'g'},     {"window", 1, nullptr, 'w'},
      {"rate", 1, nullptr, 'r'},      {"seconds", 1, nullptr, 't'}, {"core", 1, nullptr, 'k'},
      {"cpu-of", 1, nullptr, 'c'},    {"sources", 1, nullptr, 'o'}, {nullptr, 0, nullptr, 0}};
  Options options;
  for (int c = 0; (c = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    const std::string value = optarg == nullptr ? "" : optarg;
    switch (c) {
      case 'i':
        options.interface = value;
        break;
      case 's':
        options.sender = value;
        break;
      case 'a':
        options.addresses = value;
        break;
      case 'n':
        options.count = Number(value);
        break;
      case 'w':
        options.window = Number(value);
        break;
      case 'g':
        options.gap = Number(value);
        break;
      case 'r':
        options.rate = Number(value);
        break;
      case 't':
        options.seconds = std::strtod(value.c_str(), nullptr);
        break;
      case 'c':
        options.cpu_of = static_cast<int>(Number(value));
        break;
      case 'o':
        options.sources = Number(value);
        break;
      case 'k':
        options.core = static_cast<int>(Number(value));
        break;
      default:
        Usage();
    }
  }
  if (optind + 1 != argc || options.addresses.empty() || options.count == 0 || options.window == 0 ||
      options.sources == 0 || !(options.seconds > 0)) {
    Usage();
  }
  options.mode = argv[optind];
  if (options.mode == "rate" && options.rate == 0) Usage();
  return options;
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  using namespace berth::bench;
  const Options options = Parse(argc, argv);
  StayOn(options.core);
  ArpSocket lan(options.interface, ParseIp(options.sender), options.sources);
  if (options.mode == "flood") {
    Flood(options, lan, ReadAddresses(options.addresses));
    return 0;
  }
  Ledger ledger(ReadAddresses(options.addresses));
  if (options.mode == "latency") {
    Latency(options, lan, std::move(ledger));
  } else if (options.mode == "throughput") {
    Throughput(options, lan, std::move(ledger));
  } else if (options.mode == "rate") {
    Rate(options, lan, std::move(ledger));
  } else {
    Usage();
  }
  return 0;
}
