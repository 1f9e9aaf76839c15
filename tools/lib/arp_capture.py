# SPDX-License-Identifier: Apache-2.0
"""ARP at a host of a lab, as tcpdump hears it and tshark decodes it."""
from ndp_wire import NdpCapture

REQUEST, REPLY = 1, 2


class ArpMessage:
    FIELDS = {"time": "frame.time_epoch", "eth_dst": "eth.dst", "eth_src": "eth.src", "hardware": "arp.hw.type",
              "protocol": "arp.proto.type", "hardware_size": "arp.hw.size", "protocol_size": "arp.proto.size",
              "opcode": "arp.opcode", "sender_mac": "arp.src.hw_mac", "sender_ip": "arp.src.proto_ipv4",
              "target_mac": "arp.dst.hw_mac", "target_ip": "arp.dst.proto_ipv4", "complaint": "_ws.malformed"}

    def __init__(self, line, _names):
        for name, value in zip(self.FIELDS, line.split("\t")):
            setattr(self, name, value)
        self.time, self.opcode = float(self.time), int(self.opcode)

    @property
    def is_announcement(self):
        return self.sender_ip == self.target_ip

    def __repr__(self):
        return (f"<{self.time:.3f} {self.eth_src} to {self.eth_dst}: {self.opcode} {self.sender_ip} {self.sender_mac}, "
                f"{self.target_ip} {self.target_mac}>")


class ArpCapture(NdpCapture):
    FILTER, message = "arp", ArpMessage
