"""libtorrent as a program that is told what to do by lines on standard input (see line-client.ts):
`libtorrent_client.py HOST [SETTINGS]`, the latter as JSON.

Settings are libtorrent's own, but for what would leave this machine (DHT, LSD, UPnP, NAT-PMP), what would hinder several peers
on one address or hundreds of torrents, and uTP, which our engine has not.
"""

import json
import select
import sys

import libtorrent

WAIT_SECONDS = 0.02


def start(host: str, more: dict) -> libtorrent.session:
    return libtorrent.session(
        {
            "listen_interfaces": f"{host}:0",
            "outgoing_interfaces": "",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            "allow_multiple_connections_per_ip": True,
            # By default it makes 30 connections a second and 200 in all, and sends to 8 peers at once: what would be measured
            # with hundreds of torrents are these.
            "connection_speed": 1_000,
            "connections_limit": 10_000,
            "unchoke_slots_limit": -1,
            # By default 5 calls may wait to be taken on: hundreds at once overflow that, the kernel drops what they send, and whoever
            # called hangs up after 10 s without a handshake and calls again 60 s later.
            "listen_queue_size": 1_000,
            # By default 3 torrents download and 5 seed at once.
            "active_downloads": -1,
            "active_seeds": -1,
            "active_limit": 100_000,
            "alert_mask": libtorrent.alert.category_t.status_notification | libtorrent.alert.category_t.error_notification,
            **more,
        }
    )


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def parameters(order: dict) -> libtorrent.add_torrent_params:
    if "magnet" in order:
        params = libtorrent.parse_magnet_uri(order["magnet"])
    else:
        params = libtorrent.add_torrent_params()
        params.ti = libtorrent.torrent_info(order["torrent"])
    params.save_path = order["root"]
    params.flags &= ~libtorrent.torrent_flags.auto_managed
    params.flags &= ~libtorrent.torrent_flags.paused
    if order["do"] == "seed":
        params.flags |= libtorrent.torrent_flags.seed_mode
    return params


def main() -> None:
    session = start(sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
    waiting: dict[str, int] = {}
    said_port = False

    def take(order: dict) -> None:
        params = parameters(order)
        if order["do"] == "leech":
            params.peers = [(peer["host"], peer["port"]) for peer in order["peers"]]
        handle = session.add_torrent(params)
        if order["do"] == "seed":
            say(id=order["id"], done=True)
            return
        waiting[str(handle.info_hash())] = order["id"]
        say(id=order["id"], added=True)

    def hear(alert: object) -> None:
        nonlocal said_port
        if isinstance(alert, libtorrent.listen_succeeded_alert) and not said_port:
            said_port = True
            say(port=session.listen_port())
        elif isinstance(alert, libtorrent.torrent_finished_alert):
            order = waiting.pop(str(alert.handle.info_hash()), None)
            if order is not None:
                say(id=order, done=True)
        elif isinstance(alert, libtorrent.torrent_error_alert):
            order = waiting.pop(str(alert.handle.info_hash()), None)
            if order is not None:
                say(id=order, error=alert.message())

    rest = b""
    while True:
        for alert in session.pop_alerts():
            hear(alert)
        if not select.select([sys.stdin], [], [], WAIT_SECONDS)[0]:
            continue
        data = sys.stdin.buffer.raw.read(1 << 20)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            try:
                take(order)
            except (RuntimeError, ValueError) as problem:
                say(id=order["id"], error=str(problem))


main()
