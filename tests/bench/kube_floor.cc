// SPDX-License-Identifier: Apache-2.0
// tests/bench/kube_floor.cc -- the least that giving Services their addresses can cost on an API server: our client and
// its settings, one write for each Service, and no logic.
//
//   kube_floor KUBECONFIG create N       makes N Services of type LoadBalancer in namespace bench
//   kube_floor KUBECONFIG assign N       follows Services until N have an address, and gives each one that has none
//   kube_floor KUBECONFIG follow SECONDS prints what it sees
//   kube_floor KUBECONFIG delete N
//
// Prints seconds, requests by code, CPU seconds and peak memory of this process.
#include <sys/resource.h>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/real_event_loop.h"
#include "controller/kube/client/credentials.h"
#include "controller/kube/client/curl_client.h"
#include "controller/kube/client/reflector.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr char kPath[] = "/api/v1/namespaces/bench/services";

struct Bench {
  std::unique_ptr<RealEventLoop> loop = *RealEventLoop::Create();
  std::unique_ptr<CurlClient> client;
  std::map<std::string, int> codes;
  int left = 0;  // requests
  absl::Time start = loop->Now();

  bool Connect(const std::string& kubeconfig) {
    const auto config = FindKubeConfig(kubeconfig);
    CurlClient::Options options;
    options.rate = {.qps = 1e6, .burst = 1e6};
    options.on_request = [this](const ApiRequest& request, int code, absl::Duration) {
      ++codes[absl::StrCat(request.verb, " ", code)];
    };
    auto made = config.ok() ? CurlClient::Create(*loop, *config, options) : config.status();
    if (!made.ok()) std::cerr << made.status() << "\n";
    if (made.ok()) client = *std::move(made);
    return client != nullptr;
  }

  void Do(ApiRequest request, const std::function<void(bool ok)>& then) {
    client->Do(std::move(request), [then](const absl::StatusOr<ApiResponse>& response) {
      if (!response.ok()) std::cerr << response.status() << "\n";
      then(response.ok());
    });
  }

  void ForEach(int n, const std::function<ApiRequest(const std::string& name)>& make) {
    left = n;
    for (int i = 0; i < n; ++i) {
      Do(make(absl::StrFormat("web-%05d", i)), [this](bool) {
        if (--left == 0) loop->Stop();
      });
    }
    loop->Run();
  }

  void Print() const {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    std::cout << absl::StrFormat("%.2f s, CPU %.2f s, peak %.1f MiB", absl::ToDoubleSeconds(loop->Now() - start),
                                 seconds(usage.ru_utime) + seconds(usage.ru_stime),
                                 static_cast<double>(usage.ru_maxrss) / 1024);
    for (const auto& [what, count] : codes) std::cout << ", " << what << ": " << count;
    std::cout << "\n";
  }
};

class Assigner final : public Reflector::Observer {
 public:
  Assigner(Bench& bench, std::size_t wanted) : bench_(bench), wanted_(wanted) {}
  void OnObject(const json& object) override { See(object); }
  void OnVanished(const model::ObjectId&) override {}
  void OnListed() override { Check(); }
  void OnEvent(Reflector::Change change, const json& object) override {
    if (change != Reflector::Change::kDeleted) See(object);
    Check();
  }
  void OnProblem(const absl::Status& status) override { std::cerr << status << "\n"; }

 private:
  void See(const json& object) {
    const json& meta = object["metadata"];
    if (object["spec"].value("type", "") != "LoadBalancer") return;
    const std::string name = meta["name"];
    if (object["status"].value("loadBalancer", json::object()).contains("ingress")) {
      have_.insert(name);
      return;
    }
    if (!begun_.insert(name).second) return;
    const std::size_t n = begun_.size();
    const json patch = {
        {"metadata",
         {{"resourceVersion", meta["resourceVersion"]},
          {"finalizers", {"example.org/bench"}},
          {"labels", {{"pool", "a"}}}}},
        {"status",
         {{"loadBalancer",
           {{"ingress", {{{"ip", absl::StrFormat("198.18.%d.%d", n / 256, n % 256)}, {"ipMode", "VIP"}}}}}}}}};
    ApiRequest request;
    request.verb = "patch";
    request.resource = "services";
    request.method = Method::kPatch;
    request.path = absl::StrCat(kPath, "/", name, "/status");
    request.content_type = kMergePatch;
    request.body = patch.dump();
    request.urgency = Urgency::kWrite;
    bench_.Do(std::move(request), [this, name](bool ok) {
      if (!ok) begun_.erase(name);
    });
  }
  void Check() {
    if (have_.size() >= wanted_) bench_.loop->Stop();
  }
  Bench& bench_;
  const std::size_t wanted_;
  std::set<std::string> begun_, have_;
};

class Printer final : public Reflector::Observer {
 public:
  void OnObject(const json& object) override { std::cout << "listed " << object["metadata"]["name"] << "\n"; }
  void OnVanished(const model::ObjectId& id) override { std::cout << "vanished " << id << "\n"; }
  void OnListed() override { std::cout << "complete" << std::endl; }
  void OnEvent(Reflector::Change change, const json& object) override {
    const char* const words[] = {"added ", "modified ", "deleted "};
    std::cout << words[static_cast<int>(change)] << object["metadata"]["name"] << std::endl;
  }
  void OnProblem(const absl::Status& status) override { std::cout << "problem " << status << std::endl; }
};

int Main(const std::string& kubeconfig, const std::string& what, int n) {
  Bench bench;
  if (!bench.Connect(kubeconfig)) return 1;
  std::mt19937 random(1);
  const Reflector::Options options{.resource = "services", .path = "/api/v1/services", .random = [&random] {
                                     return std::uniform_real_distribution<>()(random);
                                   }};
  if (what == "create") {
    bench.ForEach(n, [](const std::string& name) {
      const json service = {{"metadata", {{"name", name}}},
                            {"spec",
                             {{"type", "LoadBalancer"},
                              {"allocateLoadBalancerNodePorts", false},
                              {"selector", {{"app", name}}},
                              {"ports", {{{"port", 80}}}}}}};
      return ApiRequest{"create", "services", Method::kPost, kPath, kJson, service.dump(), Urgency::kWrite};
    });
  } else if (what == "delete") {
    bench.ForEach(n, [](const std::string& name) {
      return ApiRequest{"delete", "services", Method::kDelete, absl::StrCat(kPath, "/", name), "", "", Urgency::kWrite};
    });
  } else if (what == "assign") {
    Assigner assigner(bench, static_cast<std::size_t>(n));
    Reflector reflector(*bench.loop, *bench.client, options, assigner);
    reflector.Start();
    bench.loop->Run();
  } else {
    Printer printer;
    Reflector reflector(*bench.loop, *bench.client, options, printer);
    reflector.Start();
    bench.loop->RunAfter(absl::Seconds(n), [&] { bench.loop->Stop(); });
    bench.loop->Run();
  }
  bench.Print();
  return 0;
}

}  // namespace
}  // namespace berth::kube

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: kube_floor KUBECONFIG create|assign|follow|delete N\n";
    return 2;
  }
  return berth::kube::Main(argv[1], argv[2], std::atoi(argv[3]));
}
