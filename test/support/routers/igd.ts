/** A small UPnP router on loopback, of version 1 or 2: SSDP by unicast, a description and SOAP, written from the standards alone. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Igd {
  readonly ssdpPort: number
  /** `TCP 4811` -> where it leads, and for how long. */
  readonly entries: Map<string, { client: string; port: number; leaseSeconds: number; description: string }>
  /** Actions that were called. */
  readonly actions: string[]
  externalHost: string
  /** UPnP's error code for an action, instead of doing it. */
  refuse: (action: string, body: string) => number | null
  /** Says where its description is. */
  location: string
  /** Changes the description before it leaves. */
  bend: (description: string) => string
  close(): Promise<void>
}

export async function igd(version: 1 | 2, externalHost: string): Promise<Igd> {
  const serviceType = `urn:schemas-upnp-org:service:WANIPConnection:${version}`
  const deviceType = `urn:schemas-upnp-org:device:InternetGatewayDevice:${version}`
  const http = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      if (request.method === 'GET' && request.url === '/root.xml') {
        response.setHeader('content-type', 'text/xml')
        response.end(router.bend(descriptionOf(deviceType, serviceType)))
      } else if (request.method === 'POST' && request.url === '/ctl/IPConn') {
        const [, type, action = ''] = /^"(.*)#(\w+)"$/.exec(String(request.headers.soapaction)) ?? []
        router.actions.push(action)
        if (type !== serviceType) fail(response, 401)
        else act(router, serviceType, action, body, response)
      } else {
        response.statusCode = 404
        response.end()
      }
    })
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const ssdp = createSocket('udp4')
  ssdp.bind(0, '127.0.0.1')
  await once(ssdp, 'listening')
  const router: Igd = {
    ssdpPort: ssdp.address().port,
    entries: new Map(),
    actions: [],
    externalHost,
    refuse: () => null,
    location: `http://127.0.0.1:${(http.address() as AddressInfo).port}/root.xml`,
    bend: (description) => description,
    close: async () => {
      http.closeAllConnections()
      await Promise.all([once(http.close(), 'close'), once(ssdp.close(), 'close')])
    },
  }
  ssdp.on('message', (message, from) => {
    const text = message.toString('latin1')
    const target = /^ST: (\S+)\r$/m.exec(text)?.[1]
    // A router of version 2 answers for version 1 as well.
    const isMeant = target === deviceType || (version === 2 && target === deviceType.replace(/2$/, '1'))
    if (!text.startsWith('M-SEARCH * HTTP/1.1\r\n') || !text.includes('MAN: "ssdp:discover"') || !isMeant)
      return
    const lines = [
      'HTTP/1.1 200 OK',
      'CACHE-CONTROL: max-age=120',
      `ST: ${target}`,
      `USN: uuid:00000000-0000-0000-0000-000000000001::${target}`,
      'EXT:',
      `LOCATION: ${router.location}`,
    ]
    ssdp.send([...lines, '', ''].join('\r\n'), from.port, from.address)
  })
  return router
}

function descriptionOf(deviceType: string, serviceType: string): string {
  return `<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>${deviceType}</deviceType><friendlyName>A &amp; B</friendlyName>
<serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType>
<serviceId>urn:upnp-org:serviceId:L3Forwarding1</serviceId><SCPDURL>/L3F.xml</SCPDURL>
<controlURL>/ctl/L3F</controlURL><eventSubURL>/evt/L3F</eventSubURL></service></serviceList>
<deviceList><device><deviceList><device><serviceList><service>
<serviceType>${serviceType}</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<SCPDURL>/WANIPCn.xml</SCPDURL><controlURL>/ctl/IPConn</controlURL><eventSubURL>/evt/IPConn</eventSubURL>
</service></serviceList></device></deviceList></device></deviceList></device></root>`
}

function act(router: Igd, serviceType: string, action: string, body: string, response: ServerResponse): void {
  const value = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1] ?? ''
  const key = `${value('NewProtocol')} ${value('NewExternalPort')}`
  const code = router.refuse(action, body)
  if (code !== null) {
    fail(response, code)
    return
  }
  let answer = ''
  if (action === 'GetExternalIPAddress') {
    answer = `<NewExternalIPAddress>${router.externalHost}</NewExternalIPAddress>`
  } else if (action === 'AddPortMapping') {
    const client = value('NewInternalClient')
    const before = router.entries.get(key)
    if (before !== undefined && before.client !== client) {
      fail(response, 718)
      return
    }
    router.entries.set(key, {
      client,
      port: Number(value('NewInternalPort')),
      leaseSeconds: Number(value('NewLeaseDuration')),
      description: value('NewPortMappingDescription'),
    })
  } else if (action === 'DeletePortMapping') {
    if (!router.entries.delete(key)) {
      fail(response, 714)
      return
    }
  } else {
    fail(response, 401)
    return
  }
  response.setHeader('content-type', 'text/xml; charset="utf-8"')
  response.end(
    `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:${action}Response xmlns:u="${serviceType}">${answer}</u:${action}Response></s:Body></s:Envelope>`,
  )
}

function fail(response: ServerResponse, code: number): void {
  response.statusCode = 500
  response.end(
    `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>${code}</errorCode><errorDescription>Said no</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>`,
  )
}
