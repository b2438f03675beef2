"""
A device `slow` that gives each IP packet back after so many milliseconds: slow-wire.py <ms>. Says `ready`. Without a number it only
makes the device and ends, to see whether it may.
"""
import fcntl, os, select, struct, sys, time

IFF_TUN, IFF_NO_PI, TUNSETIFF = 0x0001, 0x1000, 0x400454CA
device = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"slow", IFF_TUN | IFF_NO_PI))
if len(sys.argv) < 2:
    sys.exit()
print("ready", flush=True)
waiting = []
while True:
    wait = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    if select.select([device], [], [], wait)[0]:
        waiting.append((time.monotonic() + int(sys.argv[1]) / 1000, os.read(device, 65535)))
    while waiting and waiting[0][0] <= time.monotonic():
        os.write(device, waiting.pop(0)[1])
