import { outsideEngineSuite } from './outside-engine.ts'

outsideEngineSuite('qbittorrent')
