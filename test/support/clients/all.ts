/** The programs of others that ours must get on with. */
import { aria2 } from './aria2.ts'
import type { ClientDriver } from './client.ts'
import { libtorrent } from './libtorrent.ts'
import { qbittorrent } from './qbittorrent.ts'
import { transmission } from './transmission.ts'

export const OTHERS: readonly ClientDriver[] = [aria2, libtorrent, qbittorrent, transmission]
