/** Opens the store in argv[2], writes argv[3] as `01/held`, says so on a line and holds it until it is killed. */
import { openLevelStore } from '../../node/store/level-store.ts'

const [, , folder = '', text = ''] = process.argv
const store = await openLevelStore(folder)
await store.batch([{ type: 'put', key: '01/held', value: new TextEncoder().encode(text) }])
console.log('open')
setInterval(() => undefined, 1_000)
