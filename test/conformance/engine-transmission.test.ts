import { outsideEngineSuite } from './outside-engine.ts'

outsideEngineSuite('transmission')
