/** Starts a process that seeds (seeding-child.ts) and asks it what it costs. */
import { fork } from 'node:child_process'
import type { Cost, Listening, SeedingTask } from './seeding-child.ts'

export interface Child extends Listening {
  cost(): Promise<Cost>
  stop(): Promise<void>
}

export async function startChild(task: SeedingTask): Promise<Child> {
  const path = new URL('./seeding-child.ts', import.meta.url)
  const child = fork(path, [JSON.stringify(task)], { execArgv: [] })
  const said = <T>() =>
    new Promise<T>((resolve, reject) => {
      const died = (code: number | null) => reject(new Error(`the seeding process ended with ${code}`))
      child.once('exit', died)
      child.once('message', (message) => {
        child.off('exit', died)
        resolve(message as T)
      })
    })
  const listening = await said<Listening>()
  return {
    ...listening,
    cost: () => {
      const answer = said<Cost>()
      child.send('cost')
      return answer
    },
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.send('stop')
      await ended
    },
  }
}
