/** Starts a process that seeds (seeding-child.ts) and asks it what it costs. */
import { fork } from 'node:child_process'
import type { NodeCost } from './clients/usage.ts'
import type { Listening, Question, SeedCounts, SeedingTask } from './seeding-child.ts'

export interface Child extends Listening {
  cost(): Promise<NodeCost>
  seeds(): Promise<SeedCounts>
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
  const ask = <T>(question: Question): Promise<T> => {
    const answer = said<T>()
    child.send(question)
    return answer
  }
  const listening = await said<Listening>()
  return {
    ...listening,
    cost: () => ask('cost'),
    seeds: () => ask('seeds'),
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.send('stop' satisfies Question)
      await ended
    },
  }
}
