import ipaddress

network = ipaddress.ip_network("192.168.4.0/22")
print(
    network.num_addresses, network.netmask, network.broadcast_address, [str(n) for n in network.subnets(new_prefix=24)]
)
addresses = sorted(map(ipaddress.ip_address, ["10.0.0.10", "10.0.0.9", "9.255.0.1"]))
print(addresses, ipaddress.ip_address("192.168.5.77") in network, ipaddress.ip_address("::ffff:1.2.3.4").ipv4_mapped)
merged = ipaddress.collapse_addresses([ipaddress.ip_network("10.0.0.0/25"), ipaddress.ip_network("10.0.0.128/25")])
problems = []
for text in ("256.1.1.1", "10.0.0.1/24", "zz::"):
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        problems.append(str(error).split("'")[-1].strip() or "bad")
interface = ipaddress.ip_interface("10.1.2.3/8")
[
    problems,
    [str(m) for m in merged],
    str(interface.network),
    ipaddress.ip_address("fe80::1").is_link_local,
    ipaddress.ip_address("2001:db8::1").exploded,
    int(ipaddress.ip_address("0.0.1.0")),
    [str(h) for h in ipaddress.ip_network("10.0.0.0/30").hosts()],
]
