// SPDX-License-Identifier: Apache-2.0
#include "tests/system/kube/kube_world.h"

#include <cstdlib>
#include <iostream>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/obs/log.h"

namespace berth::system {
namespace {

const std::map<std::string, std::string> kNamespaced = {{"services", "default"}, {"endpointslices", "default"}};

kube::StoreKey KeyOf(const std::string& resource, const std::string& name) {
  const auto ns = kNamespaced.find(resource);
  return {ns == kNamespaced.end() ? "" : ns->second, name};
}

kube::KubeSourceOptions SourceOptions(const std::string& name) {
  kube::KubeSourceOptions options;
  options.lease.ns = "openelb-system";
  options.lease.identity = name;
  options.random = [] { return 0.5; };
  return options;
}

core::Options CoreOptions() {
  core::Options options;
  options.record_reasons = true;
  return options;
}

core::CoreRunner::Sinks SinksOf(const std::string& name) {
  if (std::getenv("BERTH_TEST_LOG") == nullptr) return {};
  return {[name](const core::LogLine& line) {
            std::cerr << "[" << name << "] " << line.sentence;
            for (const auto& [key, value] : line.fields) std::cerr << " " << key << "=" << value;
            std::cerr << "\n";
          },
          {}};
}

}  // namespace

KubeController::KubeController(ManualEventLoop& loop, kube::FakeApiServer& server, FakeWire& wire,
                               const std::string& name)
    : process(loop),
      client(server, name, process),
      source(process, client, SourceOptions(name)),
      agents(wire, name, process),
      runner(CoreOptions(), source, agents, process, SinksOf(name)) {}

KubeController::~KubeController() {
  source.Stop();
  agents.Shutdown();
  process.Kill();
}

KubeWorld::KubeWorld() : server(loop), wire(loop, 1) {
  LogInit(std::getenv("BERTH_TEST_LOG") != nullptr ? LogLevel::kDebug : LogLevel::kError, LogFormat::kText);
  Apply({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "openelb-system"}}}});
  server.on_answered = [this](const kube::FakeApiServer::Seen& seen, int code) {
    const bool write = seen.verb != "get" && seen.verb != "list" && seen.verb != "watch";
    if (seen.resource == "leases" && write && code != 401 && code != 403) ++lease_writes_;
  };
}

KubeWorld::~KubeWorld() = default;

// ---- what people do

void KubeWorld::AddEip(const std::string& name, const std::string& address, const json& spec) {
  json eip = {{"apiVersion", "network.kubesphere.io/v1alpha2"},
              {"kind", "Eip"},
              {"metadata", {{"name", name}, {"annotations", {{"eip.openelb.kubesphere.io/is-default-eip", "false"}}}}},
              {"spec", {{"address", address}, {"protocol", "layer2"}, {"interface", "eth0"}}}};
  eip["spec"].merge_patch(spec);
  Apply(eip);
}

json KubeWorld::MakeService(const std::string& name) {
  return {{"apiVersion", "v1"},
          {"kind", "Service"},
          {"metadata",
           {{"name", name}, {"namespace", "default"}, {"annotations", {{"lb.kubesphere.io/v1alpha1", "openelb"}}}}},
          {"spec",
           {{"type", "LoadBalancer"},
            {"ipFamilies", {"IPv4"}},
            {"ipFamilyPolicy", "SingleStack"},
            {"ports", {{{"port", 80}, {"protocol", "TCP"}}}},
            {"selector", {{"app", name}}}}},
          {"status", {{"loadBalancer", json::object()}}}};
}

void KubeWorld::Apply(const json& object) { server.store().Put(object); }

void KubeWorld::Edit(const std::string& resource, const std::string& name, const json& merge_patch, bool status) {
  const kube::Reply reply = server.store().Patch(resource, KeyOf(resource, name), merge_patch, status);
  if (!reply.ok()) violations.push_back(absl::StrCat("kubectl edit ", name, ": ", reply.body.dump()));
}

void KubeWorld::Delete(const std::string& resource, const std::string& name) {
  server.store().Delete(resource, KeyOf(resource, name));
}

json KubeWorld::Get(const std::string& resource, const std::string& name) const { return Look(resource, name); }

const json& KubeWorld::Look(const std::string& resource, const std::string& name) const {
  static const json kNothing;
  const kube::ObjectPtr found =
      const_cast<kube::FakeApiServer&>(server).store().Find(resource, KeyOf(resource, name));  // only read
  return found == nullptr ? kNothing : *found;                                                 // the store keeps it
}

// ---- processes

void KubeWorld::StartController(const std::string& name) {
  controllers[name] = std::make_unique<KubeController>(loop, server, wire, name);
  if (!controllers[name]->runner.Start().ok()) violations.push_back("a controller does not start");
}

KubeController& KubeWorld::Leader() {
  for (const auto& [name, controller] : controllers) {
    if (controller->runner.Status().leader) return *controller;
  }
  return *controllers.begin()->second;
}

// ---- time

void KubeWorld::Run(absl::Duration d) {
  const absl::Time end = loop.Now() + d;
  RunUntil([&] { return loop.Now() >= end; }, d + absl::Seconds(1));
}

bool KubeWorld::RunUntil(const std::function<bool()>& done, absl::Duration limit) {
  const absl::Time end = loop.Now() + limit;
  while (!done()) {
    if (loop.Now() >= end) return false;
    loop.Advance(absl::Milliseconds(10));
    Check();
  }
  return true;
}

void KubeWorld::Check() {
  if (std::exchange(checked_, server.store().revision()) == server.store().revision()) return;
  std::map<std::string, std::string> owners;
  for (const kube::ObjectPtr& service : server.store().List("services")) {
    const std::string name = kube::IdOf(*service).name;
    for (const json& entry : kube::ListAt(kube::MapAt(kube::MapAt(*service, "status"), "loadBalancer"), "ingress")) {
      const std::string ip = kube::StringAt(entry, "ip");
      const auto [it, first] = owners.emplace(ip, name);
      if (first || name.rfind("shared", 0) == 0) continue;
      const std::string text = absl::StrCat(ip, " belongs to ", it->second, " and ", name);
      if (violations.empty() || violations.back() != text) violations.push_back(text);
    }
  }
}

// ---- what is so

std::string KubeWorld::IngressOf(const std::string& service) const {
  std::vector<std::string> out;
  const json& object = Look("services", service);
  for (const json& entry : kube::ListAt(kube::MapAt(kube::MapAt(object, "status"), "loadBalancer"), "ingress")) {
    out.push_back(kube::StringAt(entry, "ip"));
  }
  return absl::StrJoin(out, ", ");
}

std::string KubeWorld::ReasonOf(const std::string& service) const {
  const json& object = Look("services", service);
  for (const json& condition : kube::ListAt(kube::MapAt(object, "status"), "conditions")) {
    if (kube::StringAt(condition, "type") == kube::kAssignedCondition) return kube::StringAt(condition, "reason");
  }
  return "";
}

std::vector<std::string> KubeWorld::EventsOf(const std::string& object) const {
  std::vector<std::string> out;
  for (const kube::ObjectPtr& event : const_cast<kube::FakeApiServer&>(server).store().List("events")) {
    if ((*event)["involvedObject"]["name"] != object) continue;
    out.push_back(absl::StrCat(kube::StringAt(*event, "reason"), ": ", kube::StringAt(*event, "message"), " (",
                               (*event)["count"].get<int>(), ")"));
  }
  return out;
}

}  // namespace berth::system
