/** The bundle of what is rarely needed. */
export const onDemand = (): Promise<typeof import('./onDemand')> => import('./onDemand');
